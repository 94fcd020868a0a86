/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: eventfds between threads, and outputs that never block. Any thread. */
#pragma once

#include "base/cc.h"

/* A non-blocking, close-on-exec eventfd at 0, or -errno. */
must_check int fd_event_create(void);

/* Adds one; wakes the reader. Async-signal-safe, keeps errno. */
void fd_event_signal(int fd);

/* Takes all that was added; false when nothing was. */
bool fd_event_take(int fd);

/*
 * Opens an output the contract's way: created if need be, neither truncated nor
 * appended to, non-blocking, and a FIFO without a reader is accepted. -errno.
 */
must_check int fd_open_output(const char *path);

/*
 * A non-blocking descriptor of our own for what the inherited `fd' leads to, or
 * -errno. Terminals and pipes are opened anew, so that O_NONBLOCK does not leak
 * into the programs that share the original; a regular file is duplicated, for
 * the offset must stay shared. A socket cannot be opened anew: there O_NONBLOCK is
 * shared with whoever holds the same end.
 */
must_check int fd_output_of(int fd);

/* The same for an input. */
must_check int fd_input_of(int fd);

/*
 * Opens /dev/null as each of descriptors 0, 1 and 2 that is closed, so that no disk,
 * socket or log becomes what the C library writes its last words to, or what is read
 * as the console. Before anything else is opened. -errno.
 */
must_check int fd_fill_standard(void);
