/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines of the policies a run has used, for tests. Builds with WISP_FAULTS only.
 *
 * Theory of operation. The filter of a recorded thread lets every system call raise SIGSYS,
 * but those made at one address. The handler looks for the policy's rule that allows the
 * call, counts it in a file that is mapped, and makes the call itself, at that address. A call
 * that no rule allows is reported and ends the process as a real filter would have it.
 * The handler leaves signals open, so that a kick still interrupts KVM_RUN; the one call that
 * cannot be made for somebody else, the change of the signal mask, is made in the saved
 * context, and SIGSYS never gets into it.
 *
 * The file holds one uint32_t for each kind of thread and rule, in the order of the policy's
 * lines (tools/check-policies reads it).
 */
#pragma once

#include "base/err.h"
#include "base/thread.h"

enum { RECORD_RULES_MAX = 512 };

/* Hooks that live until the process ends; the file is made if need be. */
must_check int record_prepare(const char *path, const struct isolation **ret, struct err *e);
