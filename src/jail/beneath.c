/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fault.h"

enum {
	RACES_MAX = 64, /* renames on the way that one opening puts up with */
	ABOVE_MAX = 64, /* bytes of a path's folders, with the NUL */
};

static int open_resolved(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = FAULT(-EACCES);

	if (fd < 0)
		return (int)fd;
	for (unsigned i = 0; i < RACES_MAX; i++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		/* Somebody renames while the kernel walks: it asks to be asked again. */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int beneath_open(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_resolved(dirfd, path, flags, mode, 0);
}

int beneath_open_no_mount(int dirfd, const char *path, int flags)
{
	return open_resolved(dirfd, path, flags, 0, RESOLVE_NO_XDEV);
}

static const char *reason(int r)
{
	switch (r) {
	case -ELOOP:
		return "a symbolic link is in the way";
	case -EXDEV:
		return "it leads out of its folder";
	case -ENOTDIR:
		return "something that is no folder is in the way";
	default:
		return strerror(-r);
	}
}

static int fail(const struct beneath *b, const char *path, int r, struct err *e)
{
	return err_set(e, ERR_INVALID, r, "`%s/%s': %s", b->name, path, reason(r));
}

/*
 * The folder that `path' is to lie in, and the path's last name: calls that make or remove
 * would follow a link anywhere before that.
 */
static int open_above(const struct beneath *b, const char *path, const char **ret_name,
		      struct err *e)
{
	const char *slash = strrchr(path, '/');
	char above[ABOVE_MAX] = ".";
	int fd;

	if (slash && (size_t)(slash - path) >= sizeof(above))
		return fail(b, path, -ENAMETOOLONG, e);
	if (slash) {
		memcpy(above, path, (size_t)(slash - path));
		above[slash - path] = '\0';
	}
	fd = beneath_open(b->fd, above, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fail(b, path, fd, e);
	*ret_name = slash ? slash + 1 : path;
	return fd;
}

int beneath_folder(const struct beneath *b, const char *path, int *ret_fd, bool *ret_made,
		   struct err *e)
{
	const char *name;
	autoclose int above = open_above(b, path, &name, e);
	bool made;
	int fd;

	if (above < 0)
		return above;
	made = mkdirat(above, name, 0755) == 0;
	if (!made && errno != EEXIST)
		return fail(b, path, -errno, e);
	fd = beneath_open(above, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fail(b, path, fd, e);
	if (ret_made)
		*ret_made = made;
	*ret_fd = fd;
	return 0;
}

int beneath_own_folder(const struct beneath *b, const char *path, uid_t uid, gid_t gid,
		       struct err *e)
{
	autoclose int fd = -1;
	int r = beneath_folder(b, path, &fd, NULL, e);

	if (r < 0)
		return r;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, 0700) < 0)
		return fail(b, path, -errno, e);
	return 0;
}

static int check_node(const struct beneath *b, const char *path, dev_t dev, const struct stat *st,
		      struct err *e)
{
	if (!S_ISCHR(st->st_mode) || st->st_rdev != dev)
		return err_set(e, ERR_INVALID, -EEXIST,
			       "`%s/%s' is there and is not the device %u:%u: remove it", b->name,
			       path, major(dev), minor(dev));
	if (st->st_nlink != 1)
		return err_set(e, ERR_INVALID, -EMLINK, "`%s/%s' has other names: remove it",
			       b->name, path);
	return 0;
}

int beneath_node(const struct beneath *b, const char *path, dev_t dev, uid_t uid, gid_t gid,
		 struct err *e)
{
	const char *name;
	autoclose int above = open_above(b, path, &name, e);
	autoclose int fd = -1;
	struct stat st;
	int r;

	if (above < 0)
		return above;
	r = FAULT(-EPERM);
	if (r == 0 && mknodat(above, name, S_IFCHR | 0600, dev) < 0 && errno != EEXIST)
		r = -errno;
	if (r == -EPERM)
		return err_set(e, ERR_INVALID, r,
			       "`%s/%s': this process may not make device nodes (CAP_MKNOD, or a "
			       "container's policy)",
			       b->name, path);
	if (r < 0)
		return fail(b, path, r, e);
	fd = beneath_open(above, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fail(b, path, fd, e);
	if (fstat(fd, &st) < 0)
		return fail(b, path, -errno, e);
	r = check_node(b, path, dev, &st, e);
	if (r < 0)
		return r;
	/* The very node that was looked at, whatever has its name by now. */
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return fail(b, path, -errno, e);
	return 0;
}

static int remove_old(const struct beneath *b, const char *path, int above, const char *name,
		      struct err *e)
{
	struct stat st;

	if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(b, path, -errno, e);
	if (S_ISLNK(st.st_mode))
		return fail(b, path, -ELOOP, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, -EEXIST,
			       "`%s/%s' is there and is no regular file: remove it", b->name, path);
	if (st.st_nlink != 1)
		return err_set(e, ERR_INVALID, -EMLINK,
			       "`%s/%s' is a hard link to a file that has other names: remove it",
			       b->name, path);
	if (unlinkat(above, name, 0) < 0 && errno != ENOENT)
		return fail(b, path, -errno, e);
	return 0;
}

int beneath_new_file(const struct beneath *b, const char *path, mode_t mode, int *ret_fd,
		     struct err *e)
{
	const char *name;
	autoclose int above = open_above(b, path, &name, e);
	int fd, r;

	if (above < 0)
		return above;
	r = remove_old(b, path, above, name, e);
	if (r < 0)
		return r;
	/* Whoever puts something there now makes this fail, and nothing else. */
	fd = beneath_open(above, name, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return fail(b, path, fd, e);
	*ret_fd = fd;
	return 0;
}
