/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the metrics: the list that metrics.c keeps, for those that print it. */
#pragma once

#include "base/metrics.h"

struct metrics_registry {
	const struct metrics_shape *const *shapes;
	unsigned nshapes;
	struct metrics_group *first;
};

/* Of the main thread; other threads look between metrics_lock() and metrics_unlock(). */
extern struct metrics_registry metrics_registry;
void metrics_lock(void);
void metrics_unlock(void);

/*
 * Against the last line from a signal handler, which takes no lock: the main thread
 * claims list and buffer while it changes them. Waits only when the process is dying.
 */
void metrics_claim(void);
void metrics_release(void);
must_check bool metrics_try_claim(void); /* bounded; for the handler */

/* Counters of a field: 1, or the 3 of a struct latency. */
must_check unsigned metrics_slots_of(const char *field);

static inline const counter_t *metrics_counter(const struct metrics_group *g, unsigned slot)
{
	return (const counter_t *)g->counters + slot;
}

enum { METRICS_MIN, METRICS_MAX, METRICS_SUM, METRICS_LATENCY }; /* slots of a latency */
