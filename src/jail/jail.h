/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: what a microVM's process can still see and do when it begins to serve.
 *
 * Theory of operation. A jail is declared, option by option, and then entered once;
 * nothing happens to the process before jail_enter(), and there is no way back from it.
 * Entering goes from what needs privileges to what takes them away:
 *
 *   folder    <base>/<name>/<id>/root is made, its devices, the pid file, the lock
 *   outside   network namespace, limits, cgroup
 *   root      a mount namespace that holds the jail's root and nothing of the host
 *   process   IPC and UTS namespace, daemon, PID namespace; the pid file is written
 *   drop      user namespace, ids, capabilities, no_new_privs, Landlock
 *
 * The order is fixed in jail.c and nowhere else. The process must have one thread: ids,
 * capabilities and Landlock act on the calling thread and are inherited by later ones.
 *
 * Paths that the operator gives (base, executable, network namespace) are followed as
 * they are, symbolic links too. Everything below the jail's folder may have been prepared
 * by the microVM's user and is opened beneath it, through no link (jail/beneath.h).
 */
#pragma once

#include "base/err.h"

struct jail;

enum jail_flag {
	JAIL_DAEMONIZE = 1 << 0,
	JAIL_NEW_PID_NS = 1 << 1,
	JAIL_NEW_USER_NS = 1 << 2,
	JAIL_NEW_IPC_NS = 1 << 3,
	JAIL_NEW_UTS_NS = 1 << 4,
	JAIL_NO_LANDLOCK = 1 << 5,
};

enum jail_text { /* what is said by a text */
		 JAIL_ID,
		 JAIL_EXEC_FILE,
		 JAIL_UID,
		 JAIL_GID,
		 JAIL_BASE,
		 JAIL_NETNS,
		 JAIL_PARENT_CGROUP,
		 JAIL_CGROUP_VERSION,
		 JAIL_CGROUP, /* FILE=VALUE; may be given more than once */
		 JAIL_LIMIT,  /* fsize=BYTES or no-file=N; likewise */
		 JAIL_TEXTS,
};

/* NULL when there is no memory. */
struct jail *jail_create(void);
void jail_destroy(struct jail *j);

static inline void jail_destroy_at_(struct jail **j)
{
	jail_destroy(*j);
}
#define auto_jail cleanup_with(jail_destroy_at_)

/* Declares; `text' outlives the jail. -EINVAL or -ERANGE, and the error names the option. */
must_check int jail_say(struct jail *j, enum jail_text what, const char *text, struct err *e);
void jail_set_flag(struct jail *j, enum jail_flag flag);

/* Whether all that a jail (or a clean-up) needs has been declared. No side effects. */
must_check int jail_check(const struct jail *j, struct err *e);

enum jail_next {
	JAIL_MONITOR, /* --exec-file is this program: go on as the monitor */
	JAIL_EXEC,    /* another program, copied into the root: jail_exec() */
};

/*
 * Enters; after an error the process is of no use. With JAIL_DAEMONIZE or JAIL_NEW_PID_NS
 * it is a child that returns, and its parents have ended with status 0.
 */
must_check int jail_enter(struct jail *j, enum jail_next *ret_next, struct err *e);

/* Becomes the program that was copied; returns on failure only. `argv' ends with NULL. */
must_check int jail_exec(const struct jail *j, char **argv, struct err *e);

/* The executable's base name: of process, folder and pid file. */
const char *jail_name(const struct jail *j);
const char *jail_id(const struct jail *j);

/* What this host could not give, as text for the log; "" when all is in force. */
const char *jail_missing(const struct jail *j);

/*
 * Removes what a dead microVM left: cgroup, folder with all that is in it, pid file.
 * Refuses while one runs there. What is already gone is no error.
 */
must_check int jail_cleanup(const struct jail *j, struct err *e);
