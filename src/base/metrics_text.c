/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenMetrics text, version 1.0: totals since the start, devices as labels.
 *
 *   # TYPE wisp_block_read_bytes counter
 *   wisp_block_read_bytes_total{id="rootfs"} 4096
 *
 * A struct latency becomes a counter of its sum and gauges of its extremes.
 */
#include <string.h>

#include "base/metrics_registry.h"

enum kind { COUNTER, GAUGE };

/* Bytes of a family's first line and of one value, beside the names in it. */
enum { FRAME_BYTES = 96, SAMPLE_BYTES = 64 };

static const char *const kinds[] = { [COUNTER] = "counter", [GAUGE] = "gauge" };
static const char *const endings[] = { [COUNTER] = "_total", [GAUGE] = "" };
static const char *const parts[] = {
	[METRICS_MIN] = "_min_us",
	[METRICS_MAX] = "_max_us",
	[METRICS_SUM] = "_sum_us",
};

static bool is_first(const struct metrics_group *g)
{
	const struct metrics_group *first = metrics_registry.first;

	while (first->shape != g->shape)
		first = first->next;
	return first == g;
}

static void put_name(struct text *t, const struct metrics_shape *shape, unsigned field,
		     const char *part)
{
	text_str(t, "wisp_");
	text_str(t, shape->name);
	text_str(t, "_");
	text_str(t, shape->fields[field]);
	text_str(t, part);
}

/* The smallest that is set, the largest, or the sum. */
static uint64_t join(uint64_t a, uint64_t b, const char *part)
{
	if (part == parts[METRICS_MIN])
		return a == 0 || (b > 0 && b < a) ? b : a;
	if (part == parts[METRICS_MAX])
		return b > a ? b : a;
	return a + b;
}

/* One family: its groups one by one, or together when they have no ids. */
static void put_family(struct text *t, const struct metrics_group *first, unsigned field,
		       unsigned slot, enum kind kind, const char *part)
{
	uint64_t together = 0;
	bool any = false;

	text_str(t, "# TYPE ");
	put_name(t, first->shape, field, part);
	text_fmt(t, " %s\n", kinds[kind]);
	for (const struct metrics_group *g = first; g; g = g->next) {
		uint64_t n;

		if (g->shape != first->shape)
			continue;
		n = counter_get(metrics_counter(g, slot));
		if (!g->id) {
			together = any ? join(together, n, part) : n;
			any = true;
			continue;
		}
		put_name(t, g->shape, field, part);
		text_fmt(t, "%s{id=\"%s\"} ", endings[kind], g->id);
		text_u64(t, n);
		text_str(t, "\n");
	}
	if (!any)
		return;
	put_name(t, first->shape, field, part);
	text_fmt(t, "%s ", endings[kind]);
	text_u64(t, together);
	text_str(t, "\n");
}

static void put_shape(struct text *t, const struct metrics_group *first)
{
	const struct metrics_shape *shape = first->shape;
	unsigned slot = 0;

	for (unsigned i = 0; i < shape->n; i++) {
		unsigned nslots = metrics_slots_of(shape->fields[i]);

		if (nslots == METRICS_LATENCY)
			for (unsigned p = 0; p < ARRAY_SIZE(parts); p++)
				put_family(t, first, i, slot + p,
					   p == METRICS_SUM ? COUNTER : GAUGE, parts[p]);
		else
			put_family(t, first, i, slot, shape->values ? GAUGE : COUNTER, "");
		slot += nslots;
	}
}

void metrics_print_text(struct text *t)
{
	metrics_lock();
	for (const struct metrics_group *g = metrics_registry.first; g; g = g->next)
		if (is_first(g))
			put_shape(t, g);
	metrics_unlock();
}

size_t metrics_text_max(void)
{
	size_t n = 1;

	metrics_lock();
	for (const struct metrics_group *g = metrics_registry.first; g; g = g->next) {
		size_t names = strlen(g->shape->name) + (g->id ? strlen(g->id) : 0);
		size_t longest = 0;

		for (unsigned i = 0; i < g->shape->n; i++)
			if (strlen(g->shape->fields[i]) > longest)
				longest = strlen(g->shape->fields[i]);
		n += g->shape->slots * (FRAME_BYTES + SAMPLE_BYTES + 2 * names + 2 * longest);
	}
	metrics_unlock();
	return n;
}
