/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp filters, one for each kind of thread (docs/seccomp.md).
 *
 * The programs are compiled at build time from resources/seccomp/<kind>.policy. A
 * call that a policy does not allow raises SIGSYS: the handler writes one line with
 * the call's name and number and the thread's name, and ends the process with
 * FILTER_EXIT. A call of a foreign architecture or of x32 kills the process.
 */
#pragma once

#include "base/cc.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/thread.h"

enum { FILTER_EXIT = 148 }; /* contract 4.6: "bad syscall" */

struct filters; /* one program for each kind, read from a file */

/* Denied calls seen; 1 at most, because the first one ends the process. */
extern counter_t filter_faults;

/*
 * Installs the SIGSYS handler, and makes malloc use calls that the policies allow.
 * Once, on the main thread, before the first other thread: afterwards the filters
 * deny rt_sigaction, so that nobody replaces the handler.
 */
must_check int filter_init(struct err *e);

/* Where the handler writes, standard error at first. `fd' stays the caller's. Any thread. */
void filter_set_report_fd(int fd);

/*
 * Sets no_new_privs and confines the calling thread, and no other, for ever. The
 * thread's name must be set before: the report uses it.
 */
must_check int filter_install(enum thread_kind kind, struct err *e);

/* The same with programs from a file instead of those built in. */
must_check int filter_install_from(const struct filters *f, enum thread_kind kind, struct err *e);

/* Reads what `wisp-seccomp --file' wrote. */
must_check int filters_load(const char *path, struct filters **ret, struct err *e);
void filters_destroy(struct filters *f);
