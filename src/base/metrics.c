/* SPDX-License-Identifier: Apache-2.0 */
/* The registry. What it holds is printed by metrics_line.c and metrics_text.c. */
#include "base/metrics.h"

#include <pthread.h>
#include <string.h>

#include "base/fault.h"
#include "base/metrics_registry.h"

enum { CLAIM_TRIES = 1 << 20 }; /* milliseconds: a line takes microseconds */

struct metrics_registry metrics_registry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int claimed; /* (A) */

void metrics_lock(void)
{
	pthread_mutex_lock(&lock);
}

void metrics_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static bool claim_once(void)
{
	int no = 0;

	return __atomic_compare_exchange_n(&claimed, &no, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

void metrics_claim(void)
{
	while (!claim_once())
		;
}

bool metrics_try_claim(void)
{
	for (int i = 0; i < CLAIM_TRIES; i++)
		if (claim_once())
			return true;
	return false;
}

void metrics_release(void)
{
	__atomic_store_n(&claimed, 0, __ATOMIC_RELEASE);
}

unsigned metrics_slots_of(const char *field)
{
	static const char suffix[] = "_agg";
	size_t len = strlen(field);

	return len >= sizeof(suffix) && strcmp(field + len - (sizeof(suffix) - 1), suffix) == 0
		       ? METRICS_LATENCY
		       : 1;
}

static unsigned slots_named(const struct metrics_shape *shape)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < shape->n; i++)
		slots += metrics_slots_of(shape->fields[i]);
	return slots;
}

void metrics_set_schema(const struct metrics_shape *const *shapes, unsigned n)
{
	metrics_registry.shapes = shapes;
	metrics_registry.nshapes = n;
}

int metrics_add(struct metrics_group *group)
{
	struct metrics_group **end = &metrics_registry.first;
	unsigned slots = slots_named(group->shape);
	uint64_t *flushed = NULL;

	/* Names and struct are written apart; one that has outgrown the other is our bug. */
	assert(slots > 0 && slots == group->shape->slots);
	/* What the last line said, and what the line in the making says. */
	if (FAULT(-ENOMEM) == 0)
		flushed = calloc(slots, 2 * sizeof(*flushed));
	if (!flushed)
		return -ENOMEM;
	group->flushed = flushed;
	group->next = NULL;
	metrics_lock();
	metrics_claim();
	while (*end)
		end = &(*end)->next;
	*end = group;
	metrics_release();
	metrics_unlock();
	return 0;
}

void metrics_remove(struct metrics_group *group)
{
	struct metrics_group **at = &metrics_registry.first;

	if (!group->flushed)
		return;
	metrics_lock();
	metrics_claim();
	while (*at != group)
		at = &(*at)->next;
	*at = group->next;
	metrics_release();
	metrics_unlock();
	free(group->flushed);
	group->flushed = NULL;
}
