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

/* The contract's words. The path comes last, because a long one loses its end. */
static int fail(const char *path, int r, struct err *e)
{
	return err_set(e, ERR_INVALID, r,
		       "Error manipulating the backing file: %s (os error %d) %s", strerror(-r), -r,
		       path);
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

static bool is_block(unsigned bytes)
{
	return bytes >= 512 && bytes <= 1 << 20 && (bytes & (bytes - 1)) == 0;
}

struct blk_geometry blk_geometry_of(unsigned logical, unsigned physical, int offset,
				    unsigned min_io, unsigned opt_io)
{
	struct blk_geometry g = { .logical = logical, .physical = physical };

	if (!is_block(logical))
		return (struct blk_geometry){ 0 };
	if (!is_block(physical) || physical < logical)
		g.physical = logical;
	/* The driver has 8 bits for this number of blocks, and 16 for the next. */
	if (offset > 0 && (unsigned)offset < g.physical && (unsigned)offset % logical == 0 &&
	    (unsigned)offset / logical <= UINT8_MAX)
		g.offset = (unsigned)offset;
	if (min_io % logical == 0 && min_io / logical <= UINT16_MAX)
		g.min_io = min_io;
	if (opt_io % logical == 0)
		g.opt_io = opt_io;
	return g;
}

int blk_geometry(int fd, struct blk_geometry *ret, struct err *e)
{
	unsigned physical = 0, min_io = 0, opt_io = 0;
	int logical = 0, offset = 0, r = FAULT(-EIO);
	struct stat st = { 0 };

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0 && !S_ISBLK(st.st_mode)) {
		*ret = (struct blk_geometry){ 0 };
		return 0;
	}
	if (r == 0 && (ioctl(fd, BLKSSZGET, &logical) < 0 || ioctl(fd, BLKPBSZGET, &physical) < 0 ||
		       ioctl(fd, BLKALIGNOFF, &offset) < 0 || ioctl(fd, BLKIOMIN, &min_io) < 0 ||
		       ioctl(fd, BLKIOOPT, &opt_io) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "cannot learn the drive's block size: %s",
			       strerror(-r));
	*ret = blk_geometry_of((unsigned)logical, physical, offset, min_io, opt_io);
	return 0;
}

/* Of memory and of offsets; false when the host does not say, as before Linux 6.1. */
static bool ask_alignment(int fd, unsigned *ret_mem, unsigned *ret_offset)
{
	struct statx st = { 0 };
	int sector = 0;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_DIOALIGN, &st) < 0)
		return false;
	if (st.stx_mask & STATX_DIOALIGN) {
		*ret_mem = st.stx_dio_mem_align;
		*ret_offset = st.stx_dio_offset_align;
		return true;
	}
	/* A block device takes its own sectors in any case. */
	if (!S_ISBLK(st.stx_mode) || ioctl(fd, BLKSSZGET, &sector) < 0)
		return false;
	*ret_mem = *ret_offset = (unsigned)sector;
	return true;
}

unsigned blk_go_direct(int fd)
{
	unsigned mem = 0, offset = 0;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || !ask_alignment(fd, &mem, &offset))
		return 0;
	if (mem == 0 || mem > 4096 || 4096 % mem != 0 || offset == 0 || 512 % offset != 0)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_DIRECT) < 0 ? 0 : mem;
}
