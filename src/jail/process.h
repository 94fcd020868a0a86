/* SPDX-License-Identifier: Apache-2.0 */
/* The process: a daemon, the first of its PID namespace, its pid file. */
#pragma once

#include "jail/beneath.h"

/*
 * Takes the lock of a jail's folder, which a live microVM holds until it ends. -EBUSY when
 * one does. The descriptor is inherited by children and closed by execution.
 */
must_check int process_lock(const struct beneath *root, const char *file, int *ret_fd,
			    struct err *e);

/* A child without terminal, in a session of its own; its parents end with status 0. */
must_check int process_daemonize(struct err *e);

/* Standard streams become /dev/null, opened while there was one. */
must_check int process_redirect(int nullfd, struct err *e);

/*
 * A child in the PID namespace that unshare() has made; the parent writes the child's pid
 * and ends with status 0. The child returns when that has been done.
 */
must_check int process_fork_first(int pidfile, struct err *e);

/* The number, and nothing after it, as clients read it. */
must_check int process_write_pid(int pidfile, long pid, struct err *e);
