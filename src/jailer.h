/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program under its second name, `jailer' or `wisp-jailer': Firecracker's jailer.
 *
 * It makes the jail, enters it, and goes on as the monitor in the same process when
 * --exec-file is this very program; another program is copied into the jail and executed.
 */
#pragma once

#include "base/cc.h"

/* Whether the process was called by a jailer's name. */
must_check bool jailer_named(const char *argv0);

/* Where the monitor goes on after jailer_main() has returned 0. */
struct jailer_monitor {
	int argc;
	char **argv;	     /* allocated once, for the life of the process */
	const char *missing; /* for the log: what the host could not give; "" */
};

/* The whole program: a status to exit with, or -1 to go on as the monitor. */
must_check int jailer_main(int argc, char **argv, const char *version,
			   struct jailer_monitor *ret_monitor);
