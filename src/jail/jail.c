/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/jail.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/fault.h"
#include "jail/beneath.h"
#include "jail/cgroup.h"
#include "jail/cleanup.h"
#include "jail/folder.h"
#include "jail/landlock.h"
#include "jail/plan.h"
#include "jail/privilege.h"
#include "jail/process.h"
#include "jail/root.h"
#include "jail/spaces.h"

struct jail {
	struct plan plan;
	char missing[120];
	int lock; /* owned: the pid file's lock, kept until the process ends */
};

struct jail *jail_create(void)
{
	struct jail *j = FAULT(-ENOMEM) == 0 ? calloc(1, sizeof(*j)) : NULL;

	if (!j)
		return NULL;
	plan_init(&j->plan);
	j->lock = -1;
	return j;
}

void jail_destroy(struct jail *j)
{
	if (!j)
		return;
	fd_close_(&j->lock);
	free(j);
}

int jail_say(struct jail *j, enum jail_text what, const char *text, struct err *e)
{
	static int (*const say[JAIL_TEXTS])(struct plan *, const char *, struct err *) = {
		[JAIL_ID] = plan_set_id,
		[JAIL_EXEC_FILE] = plan_set_exec_file,
		[JAIL_UID] = plan_set_uid,
		[JAIL_GID] = plan_set_gid,
		[JAIL_BASE] = plan_set_base,
		[JAIL_NETNS] = plan_set_netns,
		[JAIL_PARENT_CGROUP] = plan_set_parent_cgroup,
		[JAIL_CGROUP_VERSION] = plan_set_cgroup_version,
		[JAIL_CGROUP] = plan_add_cgroup,
		[JAIL_LIMIT] = plan_set_limit,
	};

	return say[what](&j->plan, text, e);
}

void jail_set_flag(struct jail *j, enum jail_flag flag)
{
	j->plan.flags |= flag;
}

int jail_check(const struct jail *j, struct err *e)
{
	return plan_check(&j->plan, e);
}

const char *jail_name(const struct jail *j)
{
	return j->plan.name;
}

const char *jail_id(const struct jail *j)
{
	return j->plan.id;
}

const char *jail_missing(const struct jail *j)
{
	return j->missing;
}

/* --- entering, in the order of jail.h ------------------------------------------------ */

/* What is open while the jail is entered; all of it is closed before the guest's world. */
struct entry {
	const struct plan *plan;
	struct folder folder;
	enum jail_next next;
	bool rootless;
	int procfd, nullfd, pidfile; /* owned */
	struct root_node nodes[FOLDER_NODES_MAX];
	unsigned nnodes; /* trees owned */
};

static void entry_fini(struct entry *n)
{
	folder_fini(&n->folder);
	fd_close_(&n->procfd);
	fd_close_(&n->nullfd);
	fd_close_(&n->pidfile);
	while (n->nnodes > 0)
		fd_close_(&n->nodes[--n->nnodes].tree);
}
#define auto_entry cleanup_with(entry_fini)

static int open_proc(struct entry *n, struct err *e)
{
	n->procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return n->procfd < 0 ? err_set(e, ERR_INTERNAL, -errno, "/proc: %s", strerror(errno)) : 0;
}

static int open_null(struct entry *n, struct err *e)
{
	if (!(n->plan->flags & JAIL_DAEMONIZE))
		return 0;
	n->nullfd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return n->nullfd < 0 ? err_set(e, ERR_INTERNAL, -errno, "/dev/null: %s", strerror(errno))
			     : 0;
}

/* Without root only one's own ids are to be had. */
static int check_rootless(const struct plan *p, struct err *e)
{
	if (p->uid != geteuid())
		return err_set(e, ERR_INVALID, -EPERM,
			       "--uid: without root it must be the caller's own, %u", geteuid());
	if (p->gid != getegid())
		return err_set(e, ERR_INVALID, -EPERM,
			       "--gid: without root it must be the caller's own, %u", getegid());
	return 0;
}

/* Devices of the host are mounted on files where nodes cannot be made. */
static int clone_nodes(struct entry *n, struct err *e)
{
	for (unsigned i = 0; i < FOLDER_NODES_MAX; i++) {
		const char *path = folder_node_path(i);
		int tree;

		if (!folder_node_given(i))
			continue;
		tree = root_clone(path);
		if (tree < 0)
			return err_set(e, ERR_INTERNAL, tree,
				       "%s cannot be brought into the jail: %s", path,
				       strerror(-tree));
		n->nodes[n->nnodes++] = (struct root_node){ .path = path, .tree = tree };
	}
	return 0;
}

static int make_folder(struct entry *n, struct jail *j, struct err *e)
{
	const struct plan *p = n->plan;
	int r = folder_make(&n->folder, p, e);

	if (r == 0)
		r = folder_pid_file(&n->folder, p, &n->pidfile, &j->lock, e);
	if (r == 0)
		r = n->rootless ? 0 : root_check_nodev(n->folder.root.fd, n->folder.root.name, e);
	if (r == 0 && n->next == JAIL_EXEC)
		r = root_check_noexec(n->folder.root.fd, n->folder.root.name, e);
	if (r == 0 && n->next == JAIL_EXEC)
		r = folder_copy_program(&n->folder, p, e);
	if (r == 0)
		r = folder_furnish(&n->folder, p, !n->rootless, e);
	return r;
}

static int enter_outside(struct entry *n, struct err *e)
{
	const struct plan *p = n->plan;
	int r = p->netns ? spaces_join_net(p->netns, e) : 0;

	if (r == 0)
		r = privilege_limit(p->nofile, p->fsize, e);
	return r == 0 ? cgroup_enter(p, e) : r;
}

static int enter_root(struct entry *n, struct err *e)
{
	struct root_cfg cfg = {
		.dirfd = n->folder.root.fd,
		.name = n->folder.root.name,
		.noexec = n->next == JAIL_MONITOR,
		.in_user_ns = n->rootless,
		.nodes = n->nodes,
	};
	int r = 0;

	if (n->rootless) {
		if (fchdir(n->folder.root.fd) < 0)
			return err_set(e, ERR_INTERNAL, -errno, "`%s': %s", n->folder.root.name,
				       strerror(errno));
		r = spaces_new_user(n->procfd, n->plan->uid, n->plan->gid, CLONE_NEWNS, e);
		if (r == 0)
			r = clone_nodes(n, e);
		cfg.nnodes = n->nnodes;
	}
	return r == 0 ? root_enter(&cfg, e) : r;
}

static int enter_process(struct entry *n, struct err *e)
{
	unsigned flags = n->plan->flags;
	int r = 0;

	if (flags & JAIL_NEW_IPC_NS)
		r = spaces_new(CLONE_NEWIPC, "--new-ipc-ns", e);
	if (r == 0 && flags & JAIL_NEW_UTS_NS)
		r = spaces_new(CLONE_NEWUTS, "--new-uts-ns", e);
	if (r == 0 && flags & JAIL_DAEMONIZE)
		r = process_daemonize(e);
	if (r < 0)
		return r;
	if (!(flags & JAIL_NEW_PID_NS))
		return process_write_pid(n->pidfile, getpid(), e);
	r = spaces_new(CLONE_NEWPID, "--new-pid-ns", e);
	return r == 0 ? process_fork_first(n->pidfile, e) : r;
}

static int enter_drop(struct entry *n, struct jail *j, struct err *e)
{
	const struct plan *p = n->plan;
	bool user_ns = p->flags & JAIL_NEW_USER_NS && !n->rootless;
	int r = n->rootless ? 0 : privilege_set_ids(p->uid, p->gid, true, e);

	if (r == 0 && user_ns)
		r = spaces_new_user(n->procfd, p->uid, p->gid, 0, e);
	if (r == 0)
		r = privilege_drop(e);
	if (r == 0 && !(p->flags & JAIL_NO_LANDLOCK))
		r = landlock_enter(n->next == JAIL_EXEC, e);
	if (r > 0)
		snprintf(j->missing, sizeof(j->missing),
			 "Landlock is not to be had on this host's kernel "
			 "(CONFIG_SECURITY_LANDLOCK, lsm=landlock)");
	return r < 0 ? r : 0;
}

int jail_enter(struct jail *j, enum jail_next *ret_next, struct err *e)
{
	auto_entry struct entry n = {
		.plan = &j->plan,
		.procfd = -1,
		.nullfd = -1,
		.pidfile = -1,
		.folder = FOLDER_NONE,
	};
	int r = plan_check(n.plan, e);

	if (r == 0)
		r = folder_whose_program(n.plan, e);
	if (r < 0)
		return r;
	n.next = r > 0 ? JAIL_MONITOR : JAIL_EXEC;
	n.rootless = geteuid() != 0;
	r = n.rootless ? check_rootless(n.plan, e) : 0;
	if (r == 0)
		r = open_proc(&n, e);
	if (r == 0)
		r = open_null(&n, e);
	if (r == 0)
		r = make_folder(&n, j, e);
	if (r == 0)
		r = enter_outside(&n, e);
	if (r == 0)
		r = enter_root(&n, e);
	if (r == 0)
		r = enter_process(&n, e);
	if (r == 0)
		r = enter_drop(&n, j, e);
	if (r == 0 && n.nullfd >= 0)
		r = process_redirect(n.nullfd, e);
	if (r < 0)
		return r;
	(void)prctl(PR_SET_NAME, n.plan->name);
	*ret_next = n.next;
	return 0;
}

int jail_exec(const struct jail *j, char **argv, struct err *e)
{
	char path[PLAN_NAME_MAX + 1];
	char *no_environment[] = { NULL };

	snprintf(path, sizeof(path), "/%s", j->plan.name);
	/* It knows nothing of the lock, and holds it as long as it lives. */
	if (fcntl(j->lock, F_SETFD, 0) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "lock of the pid file: %s",
			       strerror(errno));
	execve(path, argv, no_environment);
	return err_set(e, ERR_INVALID, -errno,
		       "%s in the jail: %s; a program that is not linked statically needs its "
		       "libraries there too",
		       path, strerror(errno));
}

int jail_cleanup(const struct jail *j, struct err *e)
{
	const struct plan *p = &j->plan;
	int r;

	if (!p->id || !p->exec_file)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "--cleanup needs --id and --exec-file, and --chroot-base-dir and "
			       "--parent-cgroup when the microVM had them");
	r = folder_check_dead(p, e);
	if (r == 0)
		r = cgroup_remove(p, e);
	return r == 0 ? folder_remove(p, e) : r;
}
