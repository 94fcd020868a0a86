/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that any thread may add to and any thread may read. */
#pragma once

#include "base/cc.h"

typedef struct {
	uint64_t n; /* (A) */
} counter_t;

static inline void counter_add(counter_t *c, uint64_t n)
{
	__atomic_fetch_add(&c->n, n, __ATOMIC_RELAXED);
}

static inline void counter_inc(counter_t *c)
{
	counter_add(c, 1);
}

static inline uint64_t counter_get(const counter_t *c)
{
	return __atomic_load_n(&c->n, __ATOMIC_RELAXED);
}

/* A value that is replaced instead of added to. */
static inline void counter_set(counter_t *c, uint64_t n)
{
	__atomic_store_n(&c->n, n, __ATOMIC_RELAXED);
}

/* How long something took, over all times. One thread at a time records. */
struct latency {
	counter_t min_us, max_us; /* 0: nothing recorded that took a microsecond */
	counter_t sum_us;
};

static inline void latency_record(struct latency *l, uint64_t us)
{
	uint64_t min = counter_get(&l->min_us);

	if (us < min || min == 0)
		counter_set(&l->min_us, us);
	if (us > counter_get(&l->max_us))
		counter_set(&l->max_us, us);
	counter_add(&l->sum_us, us);
}
