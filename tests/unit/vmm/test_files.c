/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a configuration: opened when named, replaced whole, closed at the end. */
#include "vmm/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "conf/expect.h"
#include "descriptors.h"

static struct files files;
static struct err e;

static int open_source(const char *kernel, const char *initrd)
{
	static struct conf_boot_source b;

	b = (struct conf_boot_source){ 0 };
	snprintf(b.kernel_image_path, sizeof(b.kernel_image_path), "%s", kernel);
	snprintf(b.initrd_path, sizeof(b.initrd_path), "%s", initrd);
	e = (struct err){ 0 };
	return files_open_boot_source(&files, &b, &e);
}

TEST(boot_source)
{
	unsigned before = open_descriptors();

	files_init(&files);
	CHECK_EQ(open_source("/dev/null", ""), 0);
	CHECK(files.kernel >= 0);
	CHECK_EQ(files.initrd, -1);
	CHECK_EQ(open_descriptors(), before + 1);
	CHECK_EQ(open_source("/dev/null", "/dev/zero"), 0);
	CHECK(files.initrd >= 0);
	CHECK_EQ(open_descriptors(), before + 2);
	CHECK_EQ(fcntl(files.kernel, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(files.initrd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(open_source("/dev/zero", ""), 0); /* the initrd goes with the old source */
	CHECK_EQ(files.initrd, -1);
	CHECK_EQ(open_descriptors(), before + 1);
	files_fini(&files);
	CHECK_EQ(open_descriptors(), before);
	files_fini(&files);
}

TEST(a_wrong_path_changes_nothing)
{
	int kernel, initrd;
	unsigned before;

	files_init(&files);
	CHECK_EQ(open_source("/dev/null", "/dev/zero"), 0);
	kernel = files.kernel;
	initrd = files.initrd;
	before = open_descriptors();
	CHECK_EQ(open_source("/nonexistent", "/dev/zero"), -ENOENT);
	expect_msg("kernel", e.msg,
		   "The kernel file cannot be opened: No such file or directory (os error 2): "
		   "/nonexistent");
	CHECK_EQ(open_source("/dev/null", "/nonexistent"), -ENOENT);
	expect_msg("initrd", e.msg,
		   "The initrd file cannot be opened due to invalid path or invalid permissions. "
		   "No such file or directory (os error 2): /nonexistent");
	CHECK_EQ(files.kernel, kernel);
	CHECK_EQ(files.initrd, initrd);
	CHECK_EQ(open_descriptors(), before);
	files_fini(&files);
}

TEST(a_fifo_is_not_waited_for)
{
	char dir[] = "/tmp/wisp-files-XXXXXX", path[64];

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	CHECK_EQ(mkfifo(path, 0600), 0);
	files_init(&files);
	CHECK_EQ(open_source(path, ""), 0); /* 20 s would fail the test */
	files_fini(&files);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(rmdir(dir), 0);
}

TEST(every_fault)
{
	unsigned before = open_descriptors();
	long n = 0;

	if (!faults_work())
		SKIP("this build has no fault points");
	for (;; n++) {
		int r;

		files_init(&files);
		fault_arm(n);
		r = open_source("/dev/null", "/dev/null");
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		CHECK_EQ(r, -EACCES);
		CHECK(e.msg[0]);
		CHECK_EQ(open_descriptors(), before);
	}
	fault_arm(-1);
	CHECK_EQ(n, 2);
	files_fini(&files);
}

TEST(drives)
{
	unsigned before = open_descriptors();

	files_init(&files);
	CHECK_EQ(files_drive(&files, "a"), -1);
	for (unsigned i = 0; i < CONF_DRIVES_MAX; i++)
		files_keep_drive(&files, (char[]){ (char)('a' + i), '\0' }, dup(0));
	CHECK_EQ(open_descriptors(), before + CONF_DRIVES_MAX);
	for (unsigned i = 0; i < CONF_DRIVES_MAX; i++)
		CHECK(files_drive(&files, (char[]){ (char)('a' + i), '\0' }) > 2);
	files_keep_drive(&files, "c", dup(0)); /* replaces, and the old one is closed */
	CHECK_EQ(open_descriptors(), before + CONF_DRIVES_MAX);
	CHECK_EQ(files.ndrives, CONF_DRIVES_MAX);
	CHECK_EQ(files_drive(&files, "z"), -1);
	files_fini(&files);
	CHECK_EQ(open_descriptors(), before);
	CHECK_EQ(files_drive(&files, "a"), -1);
}

TEST(console)
{
	unsigned before = open_descriptors();
	struct conf_serial s = { .serial_out_path = "/dev/null" };
	int fd;

	files_init(&files);
	CHECK_EQ(files_open_console(&files, &s, &e), 0);
	CHECK(files.console >= 0);
	fd = files.console;
	snprintf(s.serial_out_path, sizeof(s.serial_out_path), "/nonexistent/file");
	CHECK_EQ(files_open_console(&files, &s, &e), -ENOENT);
	expect_msg("console", e.msg,
		   "serial_out_path cannot be opened: No such file or directory: "
		   "/nonexistent/file");
	CHECK_EQ(files.console, fd);
	s.serial_out_path[0] = '\0';
	CHECK_EQ(files_open_console(&files, &s, &e), 0);
	CHECK_EQ(files.console, -1);
	CHECK_EQ(open_descriptors(), before);
	files_fini(&files);
}

static void set_path(struct conf_vsock *v, const char *folder, const char *name)
{
	snprintf(v->uds_path, sizeof(v->uds_path), "%s/%s", folder, name);
}

TEST(vsock)
{
	char folder[] = "/tmp/wisp-files-XXXXXX";
	unsigned before = open_descriptors();
	struct conf_vsock a = { 0 }, b = { 0 }, bad = { 0 };
	struct stat first, second;

	CHECK(mkdtemp(folder) != NULL);
	set_path(&a, folder, "a");
	set_path(&b, folder, "b");
	set_path(&bad, folder, "none/c");
	files_init(&files);
	CHECK_EQ(files_open_vsock(&files, &a, &e), 0);
	CHECK_EQ(stat(a.uds_path, &first), 0);
	CHECK_EQ(files_open_vsock(&files, &a, &e), 0); /* it stays the same socket */
	CHECK_EQ(stat(a.uds_path, &second), 0);
	CHECK_EQ(first.st_ino, second.st_ino);
	CHECK_EQ(files_open_vsock(&files, &bad, &e), -ENOENT);
	CHECK_EQ(access(a.uds_path, F_OK), 0);
	CHECK_EQ(open_descriptors(), before + 1);
	/* Another path: the old socket goes. */
	CHECK_EQ(files_open_vsock(&files, &b, &e), 0);
	CHECK_EQ(access(a.uds_path, F_OK), -1);
	/* Somebody has taken it away: it is made again. */
	CHECK_EQ(unlink(b.uds_path), 0);
	CHECK_EQ(files_open_vsock(&files, &b, &e), 0);
	CHECK_EQ(access(b.uds_path, F_OK), 0);
	CHECK_EQ(open_descriptors(), before + 1);
	files_fini(&files);
	CHECK_EQ(access(b.uds_path, F_OK), -1);
	CHECK_EQ(open_descriptors(), before);
	CHECK_EQ(rmdir(folder), 0);
}
