/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/fault.h"
#include "jail/beneath.h"
#include "jail/mountinfo.h"

enum { CONTROLLER_MAX = 32, VALUE_MAX = 512 };

struct group {			      /* <mount>/<parent>/<id> while it is set up */
	char mount[CGROUP_PATH_MAX];  /* of the hierarchy */
	char parent[CGROUP_PATH_MAX]; /* below it */
	const char *id;
	unsigned version;
	int fd; /* owned; -1: not open */
};

static void group_fini(struct group *g)
{
	fd_close_(&g->fd);
}
#define auto_group cleanup_with(group_fini)

/* --- files ------------------------------------------------------------------------ */

static int read_file(int dirfd, const char *file, char *buf, size_t cap)
{
	autoclose int fd = beneath_open(dirfd, file, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, cap - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static int write_file(int dirfd, const char *file, const char *value)
{
	autoclose int fd = beneath_open(dirfd, file, O_WRONLY, 0);
	size_t len = strlen(value);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = write(fd, value, len);
	return n < 0 ? -errno : (size_t)n != len ? -EIO : 0;
}

static const char *reason(int r)
{
	switch (r) {
	case -EBUSY:
		return "busy: the group holds processes of its own, or its children use what is to "
		       "change; move them, or name another --parent-cgroup";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "no permission: only below a cgroup that has been delegated to this user";
	case -ENOENT:
		return "there is no such file: the kernel lacks it, or its controller is off";
	case -EINVAL:
		return "the kernel does not take this value";
	case -ENOSPC:
		return "no processors or memory nodes are in the group (cpuset.cpus, cpuset.mems)";
	case -EOPNOTSUPP:
		return "the group takes no process: it is threaded, or the group above it holds "
		       "processes of its own";
	default:
		return strerror(-r);
	}
}

static int fail(const struct group *g, const char *file, int r, struct err *e)
{
	return err_set(e, ERR_INVALID, r, "cgroup `%s/%s%s%s': `%s': %s", g->mount, g->parent,
		       *g->parent ? "/" : "", g->id, file, reason(r));
}

static void controller_of(const struct plan_cgroup *c, char name[static CONTROLLER_MAX])
{
	size_t len = strcspn(c->file, ".");

	snprintf(name, CONTROLLER_MAX, "%.*s", (int)len, c->file);
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

/* --- making folders ---------------------------------------------------------------- */

/* Version 2: the children of this level may use every controller that a value names. */
static int enable_controllers(const struct plan *p, const struct group *g, int fd, struct err *e)
{
	static const char file[] = "cgroup.subtree_control";
	char on[VALUE_MAX] = "", name[CONTROLLER_MAX], word[CONTROLLER_MAX + 1];

	for (unsigned i = 0; i < p->ncgroups; i++) {
		int r;

		controller_of(&p->cgroups[i], name);
		if (strcmp(name, "cgroup") == 0)
			continue;
		r = read_file(fd, file, on, sizeof(on));
		if (r == 0 && has_word(on, name))
			continue;
		snprintf(word, sizeof(word), "+%s", name);
		if (r == 0)
			r = write_file(fd, file, word);
		if (r == -ENOENT || r == -EINVAL)
			return err_set(e, ERR_INVALID, r,
				       "cgroup `%s': the controller `%s' is not to be had here: "
				       "cgroup.controllers lists those that are",
				       g->mount, name);
		if (r < 0)
			return fail(g, file, r, e);
	}
	return 0;
}

/* Version 1: a new group of cpuset is empty, and takes no process before it is filled. */
static int inherit_cpuset(const struct plan *p, const struct group *g, int parent, int fd,
			  struct err *e)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char value[VALUE_MAX] = "";

	(void)p;
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		int r = read_file(fd, files[i], value, sizeof(value));

		if (r == -ENOENT)
			return 0; /* another controller's hierarchy */
		if (r == 0 && *value)
			continue;
		if (r == 0)
			r = read_file(parent, files[i], value, sizeof(value));
		if (r == 0)
			r = write_file(fd, files[i], value);
		if (r < 0)
			return fail(g, files[i], r, e);
	}
	return 0;
}

/* One folder down: *fd is the level above, then the new one. */
static int descend(const struct plan *p, struct group *g, const char *name, int *fd, struct err *e)
{
	struct beneath here = { .fd = *fd, .name = g->mount };
	autoclose int next = -1;
	int r = g->version == 2 ? enable_controllers(p, g, *fd, e) : 0;

	if (r == 0)
		r = beneath_folder(&here, name, &next, NULL, e);
	if (r < 0)
		return r;
	if (g->version == 1) {
		r = inherit_cpuset(p, g, *fd, next, e);
		if (r < 0)
			return r;
	}
	fd_close_(fd);
	*fd = take_fd(&next);
	return 0;
}

static int open_mount(const struct group *g, struct err *e)
{
	int fd = open(g->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set(e, ERR_INVALID, -errno, "cgroup `%s': %s", g->mount,
				strerror(errno))
		      : fd;
}

static int make(const struct plan *p, struct group *g, struct err *e)
{
	autoclose int fd = open_mount(g, e);
	char parts[CGROUP_PATH_MAX];
	char *save = NULL;
	int r = fd < 0 ? fd : 0;

	snprintf(parts, sizeof(parts), "%s", g->parent);
	for (char *name = strtok_r(parts, "/", &save); name && r == 0;
	     name = strtok_r(NULL, "/", &save))
		if (strcmp(name, ".") != 0)
			r = descend(p, g, name, &fd, e);
	if (r == 0)
		r = descend(p, g, g->id, &fd, e);
	if (r == 0)
		g->fd = take_fd(&fd);
	return r;
}

/* --- values and the process -------------------------------------------------------- */

static int write_value(const struct group *g, const struct plan_cgroup *c, struct err *e)
{
	char file[128];
	int r;

	snprintf(file, sizeof(file), "%.*s", (int)c->file_len, c->file);
	r = write_file(g->fd, file, c->value);
	return r < 0 ? fail(g, file, r, e) : 0;
}

/* "0" is the process that writes, whatever it is called in this namespace. */
static int move_here(const struct group *g, struct err *e)
{
	const char *file = g->version == 1 ? "tasks" : "cgroup.procs";
	int r = FAULT(-EBUSY);

	if (r == 0)
		r = write_file(g->fd, file, "0");
	return r < 0 ? fail(g, file, r, e) : 0;
}

static int set_paths(const struct plan *p, struct group *g, struct err *e)
{
	const char *parent = p->parent_cgroup ? p->parent_cgroup : p->name;

	if (strlen(parent) >= sizeof(g->parent))
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "--parent-cgroup: longer than %zu bytes", sizeof(g->parent) - 1);
	memcpy(g->parent, parent, strlen(parent) + 1);
	g->id = p->id;
	return 0;
}

/* What the host has mounted, read only when the usual places do not answer. */
struct mounts {
	char *text; /* owned */
};

static void mounts_fini(struct mounts *m)
{
	free(m->text);
}
#define auto_mounts cleanup_with(mounts_fini)

static bool is_cgroup(const char *path, unsigned version)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 &&
	       fs.f_type == (version == 1 ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC);
}

/*
 * Where nearly every host has it; 0 or -ENOENT. The table of mounts is the truth, but takes
 * the longer to read the more the host has mounted.
 */
static int find_usual(const char *controller, char path[static CGROUP_PATH_MAX])
{
	static const char top[] = "/sys/fs/cgroup";
	unsigned version = controller ? 1 : 2;

	snprintf(path, CGROUP_PATH_MAX, "%s%s%s", top, controller ? "/" : "",
		 controller ? controller : "");
	if (is_cgroup(path, version))
		return 0;
	snprintf(path, CGROUP_PATH_MAX, "%s/unified", top);
	return !controller && is_cgroup(path, version) ? 0 : -ENOENT;
}

static int locate(struct mounts *m, const char *controller, char path[static CGROUP_PATH_MAX],
		  struct err *e)
{
	int r = find_usual(controller, path);

	if (r < 0 && !m->text) {
		r = mountinfo_read(&m->text, e);
		if (r < 0)
			return r;
	}
	return find_usual(controller, path) < 0 ? cgroup_find(m->text, controller, path) : 0;
}

static int find(struct mounts *m, const char *controller, struct group *g, struct err *e)
{
	int r = locate(m, controller, g->mount, e);

	if (r == -ENOENT && controller)
		return err_set(
			e, ERR_INVALID, r,
			"--cgroup: this host has no hierarchy of version 1 with the controller "
			"`%s'; leave --cgroup-version out, and the version is found",
			controller);
	if (r == -ENOENT)
		return err_set(
			e, ERR_INVALID, r,
			"--cgroup: this host has cgroups of version 2 mounted nowhere; leave "
			"--cgroup-version out, and the version is found");
	return r < 0 && e->code == 0
		       ? err_set(e, ERR_INTERNAL, r, "cgroup mounts: %s", strerror(-r))
		       : r;
}

/* Two controllers may share a hierarchy, under two names. */
static int find_v1(struct mounts *m, const struct plan *p, unsigned i, struct group *g,
		   dev_t *ret_dev, struct err *e)
{
	char name[CONTROLLER_MAX];
	struct stat st;
	int r;

	controller_of(&p->cgroups[i], name);
	r = find(m, name, g, e);
	if (r == 0 && stat(g->mount, &st) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "cgroup `%s': %s", g->mount,
			       strerror(errno));
	if (r == 0)
		*ret_dev = st.st_dev;
	return r;
}

/* Makes the group of value `first' and writes all values of its hierarchy. */
static int enter_hierarchy(struct mounts *m, const struct plan *p, unsigned first,
			   const dev_t *devs, struct err *e)
{
	auto_group struct group g = { .version = 1, .fd = -1 };
	dev_t dev;
	int r = set_paths(p, &g, e);

	if (r == 0)
		r = find_v1(m, p, first, &g, &dev, e);
	if (r == 0)
		r = make(p, &g, e);
	for (unsigned i = first; i < p->ncgroups && r == 0; i++)
		if (devs[i] == devs[first])
			r = write_value(&g, &p->cgroups[i], e);
	return r < 0 ? r : move_here(&g, e);
}

static int enter_v1(struct mounts *m, const struct plan *p, struct err *e)
{
	dev_t devs[PLAN_CGROUPS_MAX] = { 0 };
	struct group g = { .fd = -1 };

	for (unsigned i = 0; i < p->ncgroups; i++) {
		int r = find_v1(m, p, i, &g, &devs[i], e);

		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < p->ncgroups; i++) {
		unsigned k = 0;
		int r = 0;

		while (devs[k] != devs[i])
			k++;
		if (k == i)
			r = enter_hierarchy(m, p, i, devs, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int enter_v2(struct mounts *m, const struct plan *p, struct err *e)
{
	auto_group struct group g = { .version = 2, .fd = -1 };
	int r = set_paths(p, &g, e);

	if (r == 0)
		r = find(m, NULL, &g, e);
	if (r == 0)
		r = make(p, &g, e);
	for (unsigned i = 0; i < p->ncgroups && r == 0; i++)
		r = write_value(&g, &p->cgroups[i], e);
	return r < 0 ? r : move_here(&g, e);
}

/* Version 2 without values: only into a parent that is there. */
static int move_into_parent(struct mounts *m, const struct plan *p, struct err *e)
{
	auto_group struct group g = { .version = 2, .fd = -1 };
	autoclose int top = -1;
	int r = set_paths(p, &g, e);

	if (r == 0)
		r = find(m, NULL, &g, e);
	if (r < 0)
		return r;
	g.id = "";
	top = open_mount(&g, e);
	if (top < 0)
		return top;
	g.fd = beneath_open(top, g.parent, O_RDONLY | O_DIRECTORY, 0);
	if (g.fd < 0)
		return err_set(e, ERR_INVALID, g.fd,
			       "--parent-cgroup: `%s' below `%s': %s; without --cgroup the process "
			       "moves there, and it must exist",
			       g.parent, g.mount, strerror(-g.fd));
	return move_here(&g, e);
}

/* Version 1 where the first controller is mounted so, else 2. */
static int version_of(struct mounts *m, const struct plan *p, struct err *e)
{
	char path[CGROUP_PATH_MAX], name[CONTROLLER_MAX] = "memory";
	int r;

	if (p->cgroup_version)
		return (int)p->cgroup_version;
	if (find_usual(NULL, path) == 0 && strcmp(path, "/sys/fs/cgroup") == 0)
		return 2;
	if (p->ncgroups > 0)
		controller_of(&p->cgroups[0], name);
	r = locate(m, name, path, e);
	return r == -ENOENT ? 2 : r < 0 ? r : 1;
}

int cgroup_enter(const struct plan *p, struct err *e)
{
	auto_mounts struct mounts m = { 0 };
	int version;

	if (p->ncgroups == 0 && !p->parent_cgroup)
		return 0;
	version = version_of(&m, p, e);
	if (version < 0)
		return version;
	if (p->ncgroups > 0)
		return version == 1 ? enter_v1(&m, p, e) : enter_v2(&m, p, e);
	return version == 1 ? 0 : move_into_parent(&m, p, e);
}

/* --- removing ---------------------------------------------------------------------- */

static int remove_at(const struct plan *p, const char *mount, struct err *e)
{
	auto_group struct group g = { .fd = -1 };
	autoclose int top = -1;
	int r = set_paths(p, &g, e);

	if (r < 0)
		return r;
	memcpy(g.mount, mount, sizeof(g.mount));
	top = open_mount(&g, e);
	if (top < 0)
		return top;
	g.fd = beneath_open(top, g.parent, O_RDONLY | O_DIRECTORY, 0);
	if (g.fd < 0 || unlinkat(g.fd, p->id, AT_REMOVEDIR) == 0)
		return 0;
	switch (errno) {
	case ENOENT:
		return 0;
	case EBUSY:
		return err_set(e, ERR_STATE, -EBUSY,
			       "cgroup `%s/%s/%s': a process runs in it: end it first", g.mount,
			       g.parent, p->id);
	default:
		return fail(&g, "rmdir", -errno, e);
	}
}

int cgroup_remove(const struct plan *p, struct err *e)
{
	autofree char *mounts = NULL;
	struct mountinfo_line line;
	int r = mountinfo_read(&mounts, e);

	for (const char *at = mounts; r == 0 && at && mountinfo_next(&at, &line) > 0;)
		if (strcmp(line.type, "cgroup") == 0 || strcmp(line.type, "cgroup2") == 0)
			r = remove_at(p, line.point, e);
	return r;
}

int cgroup_find(const char *mountinfo, const char *controller,
		char ret_path[static CGROUP_PATH_MAX])
{
	struct mountinfo_line line;

	while (mountinfo_next(&mountinfo, &line) > 0) {
		bool ours = controller ? strcmp(line.type, "cgroup") == 0 &&
						 mountinfo_has_option(&line, controller)
				       : strcmp(line.type, "cgroup2") == 0;

		if (!ours)
			continue;
		if (strlen(line.point) >= CGROUP_PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(ret_path, line.point, strlen(line.point) + 1);
		return 0;
	}
	return -ENOENT;
}
