/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who started us is told when we are ready, and is no longer needed, or is:
 *
 *   --ready-fd N           gets the line "READY=1\n" and is closed
 *   $NOTIFY_SOCKET         gets the datagram "READY=1", as sd_notify(3) sends it
 *   --parent-death-signal  comes when the parent ends
 *
 * Ready means that the API serves, or, without one, that the guest runs. Nothing is
 * said of a start that fails: both descriptors are just closed. Main thread.
 */
#pragma once

#include "base/err.h"

/*
 * Takes the descriptor over. Before the process opens any of its own, so that the number
 * is still the caller's.
 */
must_check int notify_set_fd(uint64_t fd, struct err *e);

/*
 * Connects to the socket that the environment names, and takes it out of there. Before
 * the root changes and before the filter; again is a no-op. What is wrong with it is
 * said by notify_ready(): a log may not be there yet.
 */
void notify_open_socket(void);

/* Tells both, once; never waits for a reader. */
void notify_ready(void);

/*
 * "SIGTERM", "TERM" and so on: HUP, INT, KILL or TERM. `parent': who it was when the
 * process began, or 0 when it has changed by right; one that is gone already ends the
 * process here. After the last change of ids, which would take it back.
 */
must_check int notify_parent_death(const char *signal_name, pid_t parent, struct err *e);
