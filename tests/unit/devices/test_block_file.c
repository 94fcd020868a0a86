/* SPDX-License-Identifier: Apache-2.0 */
/* What can be a disk, and making a device of it. */
#include <limits.h>
#include <sys/stat.h>

#include "devices/virtio/block/open.h"
#include "disk.h"

static char dir[] = "/tmp/test_block_XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void open_refused(const char *path, bool read_only, int code, const char *word)
{
	struct err e = { 0 };
	int fd = -7;

	CHECK_EQ(blk_open(path, read_only, &fd, &e), code);
	CHECK_EQ(fd, -7);
	CHECK(strstr(e.msg, word) != NULL);
	CHECK(strstr(e.msg, path) != NULL);
}

TEST(only_files_and_block_devices_are_opened)
{
	struct err e;
	uint64_t bytes;
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	fd = open(in_dir("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, "QFI\xfb raw all the same", 20), 20);
	close(fd);
	for (int ro = 0; ro < 2; ro++) {
		open_refused(dir, ro, -EINVAL, "a directory");
		open_refused(in_dir("fifo"), ro, -EINVAL, "a FIFO");
		open_refused("/dev/null", ro, -EINVAL, "a character device");
		open_refused(in_dir("none"), ro, -ENOENT, "No such file");
		CHECK_EQ(blk_open(in_dir("file"), ro, &fd, &e), 0);
		CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, ro ? O_RDONLY : O_RDWR);
		CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
		CHECK_EQ(blk_size(fd, &bytes, &e), 0);
		CHECK_EQ(bytes, 20);
		close(fd);
	}
	CHECK_EQ(unlink(in_dir("file")) + unlink(in_dir("fifo")) + rmdir(dir), 0);
}

TEST(opening_under_faults)
{
	char path[64];

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	disk = make_disk(SECTOR);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	fault_arm(0);
	open_refused(path, false, -EIO, "Input/output");
	CHECK(fault_fired());
}

TEST(creation_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	struct err e;

	disk = make_disk(SECTOR);
	for (unsigned n = 0;; n++) {
		struct blk_cfg cfg = { .id = "x", .fd = fcntl(disk, F_DUPFD_CLOEXEC, 0) };
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = blk_create(&cfg, &dev, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK(n >= 5);
			vdev_destroy(dev);
			CHECK_EQ(fcntl(cfg.fd, F_GETFD), -1);
			return;
		}
		CHECK(strstr(e.msg, "block `x'") != NULL);
		CHECK_EQ(close(cfg.fd), 0); /* still ours */
	}
}
