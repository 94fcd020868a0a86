/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* In a process of its own: it could not remove the folder any more. */
static int try_all(const char *dir)
{
	struct err e = { 0 };
	char name[64], other[64];
	int r;

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	r = landlock_enter(false, &e);
	if (r != 0)
		return r == 1 ? TEST_SKIP : 1;
	snprintf(name, sizeof(name), "%s/f", dir);
	snprintf(other, sizeof(other), "%s/in/f", dir);
	CHECK(close(open(name, O_CREAT | O_RDWR, 0700)) == 0);
	CHECK(rename(name, other) < 0 && (errno == EXDEV || errno == EACCES));
	CHECK(execl("/bin/true", "true", NULL) < 0 && errno == EACCES);
	CHECK(unlink(name) == 0);
	CHECK(mkfifo(name, 0600) == 0 && unlink(name) == 0);
	CHECK(mknod(name, S_IFCHR | 0600, 259) < 0);
	CHECK(symlink("x", name) < 0 && errno == EACCES);
	CHECK(mkdir(name, 0700) < 0 && errno == EACCES);
	return 0;
}

TEST(in_force)
{
	char dir[] = "/tmp/wisp-test-XXXXXX", in[64];
	int status;
	pid_t pid;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(in, sizeof(in), "%s/in", dir);
	CHECK_EQ(mkdir(in, 0700), 0);
	pid = fork();
	if (pid == 0)
		_exit(try_all(dir));
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(rmdir(in) == 0 && rmdir(dir) == 0);
	if (WEXITSTATUS(status) == TEST_SKIP)
		SKIP("this kernel has no Landlock");
	CHECK_EQ(WEXITSTATUS(status), 0);
}

#ifdef WISP_FAULTS
TEST(a_kernel_without_is_told)
{
	struct err e = { 0 };

	fault_arm(0);
	CHECK_EQ(landlock_enter(false, &e), 1);
}
#endif
