/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that somebody has prepared: nothing leads out, nothing foreign is given away. */
#include "jail/beneath.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "base/fault.h"
#include "jail/cleanup.h"
#include "test.h"

static char dir[] = "/tmp/wisp-test-XXXXXX";
static struct beneath b;

static void remove_dir(void)
{
	struct beneath tmp = { .fd = open("/tmp", O_PATH | O_DIRECTORY), .name = "/tmp" };
	struct err e = { 0 };

	CHECK_EQ(cleanup_tree(&tmp, dir + strlen("/tmp/"), &e), 0);
	CHECK(access(dir, F_OK) < 0);
}

static void make_dir(void)
{
	CHECK(mkdtemp(dir) != NULL);
	b = (struct beneath){ .fd = open(dir, O_RDONLY | O_DIRECTORY), .name = "jail" };
	CHECK(b.fd >= 0);
	CHECK_EQ(mkdirat(b.fd, "in", 0755), 0);
	CHECK_EQ(mkdirat(b.fd, "out", 0755), 0);
	CHECK(close(openat(b.fd, "out/secret", O_CREAT | O_WRONLY, 0600)) == 0);
	b.fd = openat(b.fd, "in", O_RDONLY | O_DIRECTORY);
	atexit(remove_dir);
}

TEST(links_lead_nowhere)
{
	struct err e = { 0 };
	int fd = -1;

	make_dir();
	CHECK_EQ(symlinkat("../out", b.fd, "link"), 0);
	CHECK_EQ(symlinkat("/etc", b.fd, "abs"), 0);
	CHECK_EQ(symlinkat("nowhere", b.fd, "dangling"), 0);
	CHECK_EQ(beneath_open(b.fd, "link/secret", O_RDONLY, 0), -ELOOP);
	CHECK_EQ(beneath_open(b.fd, "abs/passwd", O_RDONLY, 0), -ELOOP);
	CHECK_EQ(beneath_open(b.fd, "../out/secret", O_RDONLY, 0), -EXDEV);
	CHECK_EQ(beneath_open(b.fd, "/etc/passwd", O_RDONLY, 0), -EXDEV);
	CHECK_EQ(beneath_folder(&b, "link", &fd, NULL, &e), -ELOOP);
	CHECK(strstr(e.msg, "`jail/link': a symbolic link is in the way"));
	CHECK_EQ(beneath_own_folder(&b, "abs", getuid(), getgid(), &e), -ELOOP);
	CHECK_EQ(beneath_new_file(&b, "dangling", 0600, &fd, &e), -ELOOP);
	CHECK(faccessat(b.fd, "nowhere", F_OK, 0) < 0);
	CHECK_EQ(beneath_new_file(&b, "link/x", 0600, &fd, &e), -ELOOP);
	CHECK_EQ(fd, -1);
}

/* What makes or removes does so in the folder that was looked at, and in no other. */
TEST(nothing_is_made_behind_a_link)
{
	dev_t null = makedev(1, 3);
	struct err e = { 0 };
	int fd = -1;

	make_dir();
	CHECK_EQ(symlinkat("../out", b.fd, "link"), 0);
	CHECK_EQ(beneath_folder(&b, "link/net", &fd, NULL, &e), -ELOOP);
	CHECK_EQ(beneath_own_folder(&b, "link/own", getuid(), getgid(), &e), -ELOOP);
	CHECK_EQ(beneath_node(&b, "link/null", null, getuid(), getgid(), &e), -ELOOP);
	CHECK_EQ(beneath_new_file(&b, "link/secret", 0600, &fd, &e), -ELOOP);
	CHECK(strstr(e.msg, "`jail/link/secret': a symbolic link is in the way"));
	CHECK(faccessat(b.fd, "../out/net", F_OK, 0) < 0);
	CHECK(faccessat(b.fd, "../out/own", F_OK, 0) < 0);
	CHECK(faccessat(b.fd, "../out/null", F_OK, 0) < 0);
	CHECK_EQ(faccessat(b.fd, "../out/secret", F_OK, 0), 0);
	CHECK_EQ(fd, -1);
}

TEST(hard_links_are_refused)
{
	struct err e = { 0 };
	int fd = -1;

	make_dir();
	CHECK_EQ(linkat(b.fd, "../out/secret", b.fd, "hard", 0), 0);
	CHECK_EQ(beneath_new_file(&b, "hard", 0600, &fd, &e), -EMLINK);
	CHECK(strstr(e.msg, "has other names"));
	CHECK_EQ(fd, -1);
}

TEST(old_files_are_replaced_and_others_refused)
{
	struct err e = { 0 };
	struct stat old, new;
	int fd = -1, kept;

	make_dir();
	CHECK_EQ(beneath_new_file(&b, "f", 0600, &kept, &e), 0);
	CHECK_EQ(beneath_new_file(&b, "f", 0600, &fd, &e), 0);
	CHECK(fstat(kept, &old) == 0 && fstat(fd, &new) == 0);
	CHECK(old.st_ino != new.st_ino || old.st_nlink == 0);
	CHECK_EQ(mkdirat(b.fd, "d", 0700), 0);
	CHECK_EQ(beneath_new_file(&b, "d", 0600, &fd, &e), -EEXIST);
	CHECK_EQ(beneath_folder(&b, "f", &fd, NULL, &e), -ENOTDIR);
}

TEST(nodes_are_what_they_should_be)
{
	const dev_t null = makedev(1, 3), zero = makedev(1, 5);
	struct err e = { 0 };
	struct stat st;

	make_dir();
	if (mknodat(b.fd, "probe", S_IFCHR | 0600, null) < 0)
		SKIP("no device nodes can be made here");
	CHECK_EQ(beneath_node(&b, "n", null, 12, 34, &e), 0);
	CHECK_EQ(fstatat(b.fd, "n", &st, 0), 0);
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == null && (st.st_mode & 0777) == 0600);
	CHECK(st.st_uid == 12 && st.st_gid == 34);
	CHECK_EQ(beneath_node(&b, "n", null, 12, 34, &e), 0); /* again: the same */
	CHECK_EQ(beneath_node(&b, "n", zero, 12, 34, &e), -EEXIST);
	CHECK(strstr(e.msg, "is not the device 1:5"));
	CHECK_EQ(linkat(b.fd, "n", b.fd, "m", 0), 0);
	CHECK_EQ(beneath_node(&b, "m", null, 12, 34, &e), -EMLINK);
	CHECK_EQ(linkat(b.fd, "../out/secret", b.fd, "s", 0), 0);
	CHECK_EQ(beneath_node(&b, "s", null, 12, 34, &e), -EEXIST);
	CHECK_EQ(symlinkat("../out/secret", b.fd, "l"), 0);
	CHECK_EQ(beneath_node(&b, "l", null, 12, 34, &e), -EEXIST);
	CHECK_EQ(fstatat(b.fd, "../out/secret", &st, 0), 0);
	CHECK_EQ(st.st_uid, geteuid()); /* nothing of it was given away */
}

TEST(trees_are_removed_and_links_not_followed)
{
	struct err e = { 0 };

	make_dir();
	CHECK_EQ(mkdirat(b.fd, "t", 0700), 0);
	CHECK_EQ(mkdirat(b.fd, "t/a", 0700), 0);
	CHECK_EQ(mkdirat(b.fd, "t/a/b", 0700), 0);
	CHECK_EQ(mkdirat(b.fd, "t/c", 0700), 0);
	CHECK(close(openat(b.fd, "t/a/b/f", O_CREAT | O_WRONLY, 0)) == 0);
	CHECK_EQ(symlinkat("../../out", b.fd, "t/link"), 0);
	CHECK_EQ(cleanup_tree(&b, "t", &e), 0);
	CHECK(faccessat(b.fd, "t", F_OK, 0) < 0);
	CHECK_EQ(faccessat(b.fd, "../out/secret", F_OK, 0), 0);
	CHECK_EQ(cleanup_tree(&b, "t", &e), 0); /* gone is good */
	CHECK_EQ(symlinkat("../out", b.fd, "l"), 0);
	CHECK(cleanup_tree(&b, "l", &e) < 0);
	CHECK_EQ(faccessat(b.fd, "../out/secret", F_OK, 0), 0);
}

#ifdef WISP_FAULTS
TEST(injected_faults_are_errors)
{
	make_dir();
	for (long n = 0;; n++) {
		struct err e = { 0 };
		int folder = -1, file = -1, r;

		fault_arm(n);
		r = beneath_folder(&b, "d", &folder, NULL, &e);
		if (r == 0)
			r = beneath_own_folder(&b, "o", getuid(), getgid(), &e);
		if (r == 0)
			r = beneath_new_file(&b, "f", 0600, &file, &e);
		close(folder);
		close(file);
		if (!fault_fired()) {
			CHECK(r == 0 && n >= 3);
			break;
		}
		CHECK(r < 0 && e.msg[0]);
	}
	fault_arm(-1);
}
#endif

/* One level less than the limit, and one more. */
TEST(depth_is_bounded)
{
	struct err e = { 0 };
	int fd;

	make_dir();
	for (unsigned deep = 24; deep <= 25; deep++) {
		fd = dup(b.fd);
		for (unsigned i = 0; i < deep; i++) {
			int next;

			CHECK_EQ(mkdirat(fd, "d", 0700), 0);
			next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
			close(fd);
			fd = next;
		}
		close(fd);
		CHECK_EQ(cleanup_tree(&b, "d", &e), deep == 24 ? 0 : -ELOOP);
	}
	CHECK_EQ(renameat(b.fd, "d/d", b.fd, "x"), 0); /* so that the rest can be removed */
	CHECK_EQ(cleanup_tree(&b, "x", &e), 0);
}
