/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of a microVM: <mount>/<parent>/<id>, in the hierarchies of version 1 or
 * in the one of version 2.
 *
 * Version 1 makes a folder in each hierarchy whose files are named, version 2 makes one
 * and switches the controllers on from the top down. With version 2, a parent and no
 * values the process moves into the parent, which must exist. Without values or a parent
 * nothing is done.
 */
#pragma once

#include "jail/plan.h"

enum { CGROUP_PATH_MAX = 512 };

/*
 * Where the hierarchy with `controller' (NULL: the one of version 2) is mounted, by the
 * text of /proc/self/mountinfo. -ENOENT when it is not, -ENAMETOOLONG. No side effects.
 */
must_check int cgroup_find(const char *mountinfo, const char *controller,
			   char ret_path[static CGROUP_PATH_MAX]);

/* Makes the groups, writes the values, moves this process. */
must_check int cgroup_enter(const struct plan *p, struct err *e);

/* Removes the groups of a microVM that has ended. -EBUSY while a process is in one. */
must_check int cgroup_remove(const struct plan *p, struct err *e);
