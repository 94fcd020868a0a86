/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection.
 *
 * FAULT(-ENOMEM) before an allocation or a system call is a place where a test
 * can make exactly that call fail: fault_arm(n) lets n places pass and makes the
 * next one report its error, once. A test loops n = 0, 1, 2 ... until the
 * operation succeeds unharmed. Only builds with WISP_FAULTS (debug, asan, tsan,
 * cov) look; in the others the macro is the constant 0.
 */
#pragma once

#include "base/cc.h"

/* For tests only, before the threads under test start. A negative n disarms. */
void fault_arm(long n);

/* Whether the armed fault has been reported since fault_arm(). */
must_check bool fault_fired(void);

/* 0, or `code' when this is the place that is to fail. */
must_check int fault_check(int code);

/* Whether this build looks; a test of failures skips when it does not. */
static inline bool faults_built_in(void)
{
#ifdef WISP_FAULTS
	return true;
#else
	return false;
#endif
}

#ifdef WISP_FAULTS
#define FAULT(code) fault_check(code)
#else
#define FAULT(code) ((void)sizeof(code), 0)
#endif
