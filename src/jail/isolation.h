/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The isolation hooks that main hands to thread_start() and calls for itself
 * (base/thread.h). Any thread; the hooks are constant and live until the process ends.
 */
#pragma once

#include "base/err.h"
#include "base/thread.h"

/* The filters that are built in. filter_init() must have been called. */
const struct isolation *isolation_seccomp(void);

/* --no-seccomp: threads stay as they are. */
const struct isolation *isolation_none(void);

/* --seccomp-filter: programs from a file. filter_init() must have been called. */
must_check int isolation_from_file(const char *path, const struct isolation **ret, struct err *e);
