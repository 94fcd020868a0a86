/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/root.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "base/fault.h"

static int open_tree_clone(int dirfd, const char *path, unsigned flags)
{
	long fd = FAULT(-EPERM);

	if (fd == 0)
		fd = syscall(SYS_open_tree, dirfd, path,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	return fd < 0 ? -errno : (int)fd;
}

static int attach(int tree, const char *to)
{
	long r = syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);

	return r < 0 ? -errno : 0;
}

int root_clone(const char *path)
{
	return open_tree_clone(AT_FDCWD, path, 0);
}

static int check_flag(int dirfd, const char *name, unsigned long flag, const char *says,
		      struct err *e)
{
	struct statvfs fs;

	if (fstatvfs(dirfd, &fs) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "`%s': statvfs: %s", name, strerror(errno));
	if (fs.f_flag & flag)
		return err_set(e, ERR_INVALID, -EACCES,
			       "`%s' is on a mount with the option %s; choose another "
			       "--chroot-base-dir, or mount it without",
			       name, says);
	return 0;
}

int root_check_nodev(int dirfd, const char *name, struct err *e)
{
	return check_flag(dirfd, name, ST_NODEV, "nodev, where no device can be opened", e);
}

int root_check_noexec(int dirfd, const char *name, struct err *e)
{
	return check_flag(dirfd, name, ST_NOEXEC, "noexec, where no program can be executed", e);
}

/* --- the tiny namespace ----------------------------------------------------------------- */

/* In a child: one empty file system, and nothing else mounted. Then waits to be killed. */
static void make_tiny(int ready)
{
	static const char somewhere[] = "/tmp"; /* covered in this namespace only */

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", somewhere, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,mode=555") == 0 &&
	    mount("", somewhere, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0 &&
	    chdir(somewhere) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	    umount2(".", MNT_DETACH) == 0 && write(ready, "", 1) == 1)
		pause();
	_exit(1);
}

static bool is_mount(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &st) == 0 &&
	       st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/*
 * The kernel mounts a mount namespace nowhere where the mount would show up in other
 * namespaces too, and /run is so shared on most hosts: then the file becomes a private mount
 * of its own first. Once: it may refuse after that as well (Linux 6.18, in a namespace whose
 * number is above that of the new one), and the next jailer tries again.
 */
static int pin(const char *path)
{
	if (mount(path, ROOT_PINNED, NULL, MS_BIND, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	if (!is_mount(ROOT_PINNED) && mount(ROOT_PINNED, ROOT_PINNED, NULL, MS_BIND, NULL) < 0)
		return -errno;
	if (mount("", ROOT_PINNED, NULL, MS_PRIVATE, NULL) < 0 ||
	    mount(path, ROOT_PINNED, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

/* Keeps a new tiny namespace at ROOT_PINNED. */
static int pin_tiny(void)
{
	int ready[2];
	char path[64], byte;
	pid_t child;
	int r = -ENOTTY;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		make_tiny(ready[1]);
	close(ready[1]);
	if (child > 0 && read(ready[0], &byte, 1) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", child);
		r = pin(path);
	}
	close(ready[0]);
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	return r;
}

static bool is_namespace(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
	       ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNS;
}

/* The namespace, or the plain file that it is to be mounted on. */
static int open_pinned(void)
{
	int fd = open(ROOT_PINNED, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0400);

	return fd < 0 ? -errno : fd;
}

/* A descriptor of the tiny namespace, made by the first jailer of the host. */
static int tiny_namespace(void)
{
	autoclose int plain = open_pinned();
	autoclose int fd = -1;

	if (plain < 0)
		return plain;
	if (is_namespace(plain))
		return take_fd(&plain);
	/* Of many first ones, one makes it and the others wait for that. */
	if (flock(plain, LOCK_EX) < 0)
		return -errno;
	fd = open_pinned();
	if (fd < 0 || is_namespace(fd))
		return take_fd(&fd);
	fd_close_(&fd);
	if (pin_tiny() < 0)
		return -EPERM;
	fd = open_pinned();
	return fd >= 0 && is_namespace(fd) ? take_fd(&fd) : -EPERM;
}

/* --- entering --------------------------------------------------------------------------- */

static int step_failed(const struct root_cfg *cfg, const char *what, struct err *e)
{
	int r = -errno;

	return err_set(e, ERR_INTERNAL, r, "root `%s': %s: %s", cfg->name, what, strerror(-r));
}

static int enter_tiny(const struct root_cfg *cfg, int tiny, int tree, struct err *e)
{
	if (setns(tiny, CLONE_NEWNS) < 0)
		return step_failed(cfg, "setns", e);
	if (unshare(CLONE_NEWNS) < 0)
		return step_failed(cfg, "unshare", e);
	if (attach(tree, "/") < 0)
		return step_failed(cfg, "move_mount", e);
	if (fchdir(tree) < 0 || chroot(".") < 0)
		return step_failed(cfg, "chroot", e);
	return 0;
}

static int enter_copy(const struct root_cfg *cfg, int tree, struct err *e)
{
	if (!cfg->in_user_ns && unshare(CLONE_NEWNS) < 0)
		return step_failed(cfg, "unshare", e);
	if (mount("", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return step_failed(cfg, "mount / as slave", e);
	if (attach(tree, "/") < 0)
		return step_failed(cfg, "move_mount", e);
	if (fchdir(tree) < 0)
		return step_failed(cfg, "fchdir", e);
	/* The old root comes to lie on the new one, and is taken off. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return step_failed(cfg, "pivot_root", e);
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return step_failed(cfg, "umount of the old root", e);
	return 0;
}

static int mount_nodes(const struct root_cfg *cfg, struct err *e)
{
	for (unsigned i = 0; i < cfg->nnodes; i++)
		if (attach(cfg->nodes[i].tree, cfg->nodes[i].path) < 0)
			return step_failed(cfg, cfg->nodes[i].path, e);
	return 0;
}

int root_enter(const struct root_cfg *cfg, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID, .propagation = MS_SLAVE };
	autoclose int tree = -1, tiny = -1;
	int r;

	/* In a namespace of its own the descriptor still means the mount of the old one. */
	tree = cfg->in_user_ns ? open_tree_clone(AT_FDCWD, ".", AT_RECURSIVE)
			       : open_tree_clone(cfg->dirfd, "", AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0) {
		errno = -tree;
		return step_failed(cfg, "open_tree", e);
	}
	if (cfg->noexec)
		attr.attr_set |= MOUNT_ATTR_NOEXEC;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
		    sizeof(attr)) < 0)
		return step_failed(cfg, "mount_setattr", e);
	if (!cfg->in_user_ns)
		tiny = tiny_namespace();
	r = tiny >= 0 ? enter_tiny(cfg, tiny, tree, e) : enter_copy(cfg, tree, e);
	return r < 0 ? r : mount_nodes(cfg, e);
}
