/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wisp --check-host: what of this host a microVM needs or would like, and lacks.
 *
 * One line each: `ok', `warn' (a microVM runs, but something of it is slower, weaker
 * or refused) or `FAIL' (no microVM runs), the object, and for the latter two what is
 * wrong, why it matters and what to do. Everything is tried rather than looked up
 * where that can be done without a trace.
 */
#pragma once

#include "base/cc.h"

/* Prints to standard output. The exit status: 0, or 1 when no microVM could run. */
must_check int check_host(void);
