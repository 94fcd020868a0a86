/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "test.h"

TEST(what_each_kernel_is_asked_for)
{
	static const uint64_t never = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
				      LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_EXECUTE;

	for (int abi = 1; abi <= 9; abi++) {
		struct landlock_rules r = landlock_rules_of(abi, false);

		CHECK_EQ(r.below_root & never, 0);
		CHECK_EQ(r.below_root & ~r.fs, 0);
		CHECK(r.below_root & LANDLOCK_ACCESS_FS_WRITE_FILE);
		CHECK(r.below_root & LANDLOCK_ACCESS_FS_MAKE_SOCK);
		CHECK(r.fs & LANDLOCK_ACCESS_FS_EXECUTE);
		CHECK_EQ(!!(r.fs & LANDLOCK_ACCESS_FS_REFER), abi >= 2);
		CHECK_EQ(!!(r.fs & (1 << 14)), abi >= 3);
		CHECK_EQ(r.net, abi >= 4 ? 3 : 0);
		CHECK_EQ(!!(r.fs & (1 << 15)), abi >= 5);
		CHECK_EQ(r.scoped, abi >= 6 ? 3 : 0);
		CHECK_EQ(r.size, abi >= 6 ? 24 : abi >= 4 ? 16 : 8);
		CHECK(landlock_rules_of(abi, true).below_root & LANDLOCK_ACCESS_FS_EXECUTE);
	}
}

TEST(in_force)
{
	struct err e = { 0 };
	char path[] = "/tmp/wisp-test-XXXXXX", name[64];
	int r;

	CHECK(mkdtemp(path) != NULL);
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	r = landlock_enter(false, &e);
	if (r == 1)
		SKIP("this kernel has no Landlock");
	CHECK_EQ(r, 0);
	snprintf(name, sizeof(name), "%s/f", path);
	CHECK(close(open(name, O_CREAT | O_RDWR, 0700)) == 0);
	CHECK(execl("/bin/true", "true", NULL) < 0 && errno == EACCES);
	CHECK(mkfifo("/tmp/wisp-test-fifo", 0600) == 0 && unlink("/tmp/wisp-test-fifo") == 0);
	CHECK(mknod("/tmp/wisp-test-node", S_IFCHR | 0600, 259) < 0);
	CHECK(symlink("x", "/tmp/wisp-test-link") < 0 && errno == EACCES);
	CHECK(unlink(name) == 0);
}

#ifdef WISP_FAULTS
TEST(a_kernel_without_is_told)
{
	struct err e = { 0 };

	fault_arm(0);
	CHECK_EQ(landlock_enter(false, &e), 1);
}
#endif
