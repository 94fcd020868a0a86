/* SPDX-License-Identifier: Apache-2.0 */
/* Time of the host. Any thread; none of it fails on Linux. */
#pragma once

#include <time.h>

#include "base/cc.h"

typedef uint64_t usec_t;

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

static inline usec_t clock_usec(clockid_t id)
{
	struct timespec t = { 0 };

	clock_gettime(id, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static inline usec_t clock_monotonic(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

/* Processor time of the whole process. */
static inline usec_t clock_process_cpu(void)
{
	return clock_usec(CLOCK_PROCESS_CPUTIME_ID);
}
