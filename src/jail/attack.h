/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that has been taken over, for tests: what a guest could do that had found a
 * way to run code of its own in the monitor. Builds with WISP_FAULTS only.
 *
 * The hooks of an attack confine a thread as ever and then, on the chosen kind of thread,
 * make one attempt to get out, with every system call that it takes. A filter ends the
 * process with FILTER_EXIT; else the process ends with ATTACK_REFUSED when the kernel said
 * no for another reason, and with ATTACK_SUCCEEDED when it did not. A line on standard
 * error says which.
 */
#pragma once

#include "base/err.h"
#include "base/thread.h"

enum { ATTACK_REFUSED = 42, ATTACK_SUCCEEDED = 43 };

/* `what' is KIND:NAME. Hooks that live until the process ends; -EINVAL names what there is. */
must_check int attack_prepare(const char *what, const struct isolation *inner,
			      const struct isolation **ret, struct err *e);
