/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces beside the one of mounts (jail/root.h) and of processes (jail/process.h). */
#pragma once

#include <sys/types.h>

#include "base/err.h"

/* Joins the network namespace at a path (--netns); symbolic links are followed. */
must_check int spaces_join_net(const char *path, struct err *e);

/* New namespaces of the CLONE_ flags; option names them in the error. */
must_check int spaces_new(int flags, const char *option, struct err *e);

/*
 * A new user namespace in which uid and gid mean what they mean outside, and no other id
 * exists. `procfd' is /proc. The caller's ids are these already. `flags': more namespaces
 * that belong to it.
 */
must_check int spaces_new_user(int procfd, uid_t uid, gid_t gid, int flags, struct err *e);
