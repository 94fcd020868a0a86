/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>

#include "base/fault.h"
#include "jail/cleanup.h"
#include "jail/process.h"

enum { MISC_MAJOR = 10, MEM_MAJOR = 1 }; /* Documentation/admin-guide/devices.txt */

static const struct {
	const char *path;
	unsigned major, minor; /* 0, 0: the host's node says it */
	bool optional;	       /* left out where the host has none */
} nodes[] = {
	{ "/dev/kvm", MISC_MAJOR, 232, false },
	{ "/dev/net/tun", MISC_MAJOR, 200, false },
	{ "/dev/urandom", MEM_MAJOR, 9, false },
	{ "/dev/userfaultfd", 0, 0, true },
};
static_assert(ARRAY_SIZE(nodes) == FOLDER_NODES_MAX, "the header says how many");

void folder_fini(struct folder *f)
{
	fd_close_(&f->root.fd);
}

/* Folders above the base that do not exist are made, as by mkdir -p. */
static int make_base(const char *base, struct err *e)
{
	char path[FOLDER_PATH_MAX + 1];

	if (strlen(base) >= sizeof(path))
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "--chroot-base-dir: longer than %d bytes", FOLDER_PATH_MAX);
	memcpy(path, base, strlen(base) + 1);
	for (char *at = path + 1;; at++) {
		char kept = *at;

		if (kept != '/' && kept != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_set(e, ERR_INVALID, -errno, "--chroot-base-dir: `%s': %s", path,
				       strerror(errno));
		*at = kept;
		if (kept == '\0')
			return 0;
	}
}

static int open_base(const struct plan *p, struct beneath *ret, struct err *e)
{
	int fd = open(p->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, ERR_INVALID, -errno, "--chroot-base-dir: `%s': %s", p->base,
			       strerror(errno));
	*ret = (struct beneath){ .fd = fd, .name = p->base };
	return 0;
}

int folder_make(struct folder *f, const struct plan *p, struct err *e)
{
	const char *const parts[] = { p->name, p->id, "root" };
	struct beneath here = { .fd = -1 };
	autoclose int fd = -1;
	int r = make_base(p->base, e);

	if (r == 0)
		r = open_base(p, &here, e);
	if (r < 0)
		return r;
	fd = here.fd;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		int next = -1;

		here.fd = fd;
		r = beneath_folder(&here, parts[i], &next, NULL, e);
		if (r < 0)
			return err_wrap(e, "the jail of `%s'", p->id);
		fd_close_(&fd);
		fd = next;
	}
	snprintf(f->path, sizeof(f->path), "%s/%s/%s/root", p->base, p->name, p->id);
	f->root = (struct beneath){ .fd = take_fd(&fd), .name = f->path };
	return 0;
}

/* --- the program ------------------------------------------------------------------------ */

static int open_program(const struct plan *p, struct stat *ret_st, struct err *e)
{
	autoclose int fd = open(p->exec_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_set(e, ERR_INVALID, -errno, "--exec-file: `%s': %s", p->exec_file,
			       strerror(errno));
	if (fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode))
		return err_set(e, ERR_INVALID, -EINVAL, "--exec-file: `%s' is no file",
			       p->exec_file);
	return take_fd(&fd);
}

int folder_whose_program(const struct plan *p, struct err *e)
{
	struct stat theirs = { 0 }, ours;
	autoclose int fd = open_program(p, &theirs, e);

	if (fd < 0)
		return fd;
	if (stat("/proc/self/exe", &ours) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "/proc/self/exe: %s", strerror(errno));
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

int folder_copy_program(const struct folder *f, const struct plan *p, struct err *e)
{
	struct stat st = { 0 };
	autoclose int from = open_program(p, &st, e);
	autoclose int to = -1;
	off_t left = st.st_size;
	int r;

	if (from < 0)
		return from;
	r = beneath_new_file(&f->root, p->name, 0700, &to, e);
	if (r < 0)
		return err_wrap(e, "copy of --exec-file");
	while (left > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n <= 0)
			return err_set(e, ERR_INTERNAL, n < 0 ? -errno : -EIO,
				       "copy of --exec-file into `%s': %s", f->path,
				       n < 0 ? strerror(errno) : "it has become shorter");
		left -= n;
	}
	if (fchown(to, p->uid, p->gid) < 0 || fchmod(to, st.st_mode & 0777) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "copy of --exec-file into `%s': %s",
			       f->path, strerror(errno));
	return 0;
}

/* --- pid file and lock ------------------------------------------------------------------ */

static void pid_name(const struct plan *p, char name[static PLAN_NAME_MAX + 4])
{
	snprintf(name, PLAN_NAME_MAX + 4, "%s.pid", p->name);
}

/* The lock of whoever was here before; none when there is no such file. */
static int try_lock(const struct beneath *root, const char *name, struct err *e)
{
	autoclose int lock = -1;
	struct stat st;

	if (fstatat(root->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0; /* what else it may be is the next step's to refuse */
	return process_lock(root, name, &lock, e);
}

int folder_pid_file(const struct folder *f, const struct plan *p, int *ret_file, int *ret_lock,
		    struct err *e)
{
	char name[PLAN_NAME_MAX + 4];
	autoclose int file = -1;
	int r;

	pid_name(p, name);
	/* Or a file that is not yet locked could be replaced by another jailer's. */
	if (flock(f->root.fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_STATE, -EBUSY, "`%s': another jailer is at work there",
			       f->path);
	r = try_lock(&f->root, name, e);
	if (r == 0)
		r = beneath_new_file(&f->root, name, 0644, &file, e);
	if (r == 0)
		r = process_lock(&f->root, name, ret_lock, e);
	(void)flock(f->root.fd, LOCK_UN);
	if (r == 0)
		*ret_file = take_fd(&file);
	return r;
}

/* --- what stands in it ------------------------------------------------------------------ */

const char *folder_node_path(unsigned i)
{
	return nodes[i].path;
}

bool folder_node_given(unsigned i)
{
	struct stat st;

	return !nodes[i].optional || (stat(nodes[i].path, &st) == 0 && S_ISCHR(st.st_mode));
}

static int make_node(const struct folder *f, const struct plan *p, unsigned i, struct err *e)
{
	dev_t dev = makedev(nodes[i].major, nodes[i].minor);
	struct stat st;

	if (nodes[i].major == 0 && stat(nodes[i].path, &st) == 0)
		dev = st.st_rdev;
	return beneath_node(&f->root, nodes[i].path + 1, dev, p->uid, p->gid, e);
}

static int make_mount_point(const struct folder *f, unsigned i, struct err *e)
{
	autoclose int fd = -1;

	return beneath_new_file(&f->root, nodes[i].path + 1, 0600, &fd, e);
}

int folder_furnish(const struct folder *f, const struct plan *p, bool as_nodes, struct err *e)
{
	static const char *const folders[] = { ".", "dev", "dev/net", "run" };
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = beneath_own_folder(&f->root, folders[i], p->uid, p->gid, e);
	for (unsigned i = 0; i < FOLDER_NODES_MAX && r == 0; i++)
		if (folder_node_given(i))
			r = as_nodes ? make_node(f, p, i, e) : make_mount_point(f, i, e);
	return r;
}

/* --- removing --------------------------------------------------------------------------- */

static int open_parent(const struct plan *p, struct beneath *ret, struct err *e)
{
	struct beneath base = { .fd = -1 };
	int r = open_base(p, &base, e);

	if (r < 0)
		return r;
	ret->name = p->base;
	ret->fd = beneath_open(base.fd, p->name, O_RDONLY | O_DIRECTORY, 0);
	close(base.fd);
	if (ret->fd < 0 && ret->fd != -ENOENT)
		return err_set(e, ERR_INVALID, ret->fd, "`%s/%s': %s", p->base, p->name,
			       ret->fd == -ELOOP ? "a symbolic link is in the way"
						 : strerror(-ret->fd));
	return ret->fd;
}

int folder_check_dead(const struct plan *p, struct err *e)
{
	char path[PLAN_ID_MAX + 8], name[PLAN_NAME_MAX + 4];
	struct beneath parent = { .fd = -1 }, root = { .fd = -1 };
	int r = open_parent(p, &parent, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	snprintf(path, sizeof(path), "%s/root", p->id);
	pid_name(p, name);
	root.name = path;
	root.fd = beneath_open(parent.fd, path, O_RDONLY | O_DIRECTORY, 0);
	r = root.fd < 0 ? 0 : try_lock(&root, name, e);
	fd_close_(&root.fd);
	fd_close_(&parent.fd);
	return r;
}

int folder_remove(const struct plan *p, struct err *e)
{
	struct beneath parent = { .fd = -1 };
	int r = open_parent(p, &parent, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = cleanup_tree(&parent, p->id, e);
	fd_close_(&parent.fd);
	return r;
}
