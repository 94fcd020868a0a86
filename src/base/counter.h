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
