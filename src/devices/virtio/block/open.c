/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/block/open.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/fault.h"

/* NULL for what can be a disk. */
static const char *unfit(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return NULL;
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return "no file";
	}
}

static int refuse(const char *path, const char *kind, struct err *e)
{
	return err_set(e, ERR_INVALID, -EINVAL,
		       "`%s' is %s: a drive needs a regular file or a block device", path, kind);
}

static int fail(const char *path, int r, struct err *e)
{
	return err_set(e, ERR_INVALID, r, "cannot open `%s': %s", path, strerror(-r));
}

int blk_open(const char *path, bool read_only, int *ret_fd, struct err *e)
{
	autoclose int fd = -1;
	struct stat st;
	int r = FAULT(-EIO);

	/* Opening a character device may do something; so look before, and again after. */
	if (r == 0 && stat(path, &st) < 0)
		r = -errno;
	if (r < 0)
		return fail(path, r, e);
	if (unfit(st.st_mode))
		return refuse(path, unfit(st.st_mode), e);

	fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(path, -errno, e);
	if (unfit(st.st_mode))
		return refuse(path, unfit(st.st_mode), e);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return fail(path, -errno, e);
	*ret_fd = take_fd(&fd);
	return 0;
}

int blk_size(int fd, uint64_t *ret_bytes, struct err *e)
{
	uint64_t bytes = 0;
	struct stat st;
	int r = FAULT(-EIO);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0 && S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "cannot learn the size of the drive's file: %s",
			       strerror(-r));
	*ret_bytes = S_ISBLK(st.st_mode) ? bytes : (uint64_t)st.st_size;
	return 0;
}
