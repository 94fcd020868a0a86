/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract's line of JSON: made without malloc, locks or stdio, so that a signal
 * handler can make the last one.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics_registry.h"

enum {
	LINE_BYTES = 128 << 10, /* not touched beyond what a line needs */
	ID_BYTES = 80,
};

/* Of the main thread, or of the handler that has claimed it. */
static struct {
	int fd;		/* owned; -1: none */
	size_t at, len; /* of `line', what is still to be written */
	char id[ID_BYTES];
	char properties[METRICS_PROPERTIES_MAX + 1];
	char line[LINE_BYTES];
} sink = { .fd = -1 };

/* --- the text -------------------------------------------------------------------- */

struct sums { /* of one slot, over all groups of a shape */
	uint64_t min, max, sum;
};

static void put_key(struct text *t, const char *key)
{
	text_str(t, "\"");
	text_str(t, key);
	text_str(t, "\":");
}

/* What the line is about to say of a slot. */
static uint64_t now(const struct metrics_group *g, unsigned slot)
{
	return g->flushed[g->shape->slots + slot];
}

static uint64_t since(const struct metrics_group *g, unsigned slot)
{
	return now(g, slot) - (g->shape->values ? 0 : g->flushed[slot]);
}

/* All numbers at once, so that sums are the sums of what stands beside them. */
static void look(void)
{
	for (struct metrics_group *g = metrics_registry.first; g; g = g->next)
		for (unsigned i = 0; i < g->shape->slots; i++)
			g->flushed[g->shape->slots + i] = counter_get(metrics_counter(g, i));
}

static void add_latency(const struct metrics_group *g, unsigned slot, struct sums *all)
{
	uint64_t min = now(g, slot + METRICS_MIN);
	uint64_t max = now(g, slot + METRICS_MAX);

	if (min > 0 && (all->min == 0 || min < all->min))
		all->min = min;
	if (max > all->max)
		all->max = max;
	all->sum += since(g, slot + METRICS_SUM);
}

/* `only': that group; NULL: the sum of all that have the shape. */
static struct sums sum_up(const struct metrics_shape *shape, const struct metrics_group *only,
			  unsigned slot, unsigned nslots)
{
	struct sums all = { 0 };

	for (const struct metrics_group *g = metrics_registry.first; g; g = g->next) {
		if (g->shape != shape || (only && g != only))
			continue;
		if (nslots == METRICS_LATENCY)
			add_latency(g, slot, &all);
		else
			all.sum += since(g, slot);
	}
	return all;
}

static void put_fields(struct text *t, const struct metrics_shape *shape,
		       const struct metrics_group *only)
{
	unsigned slot = 0;

	text_str(t, "{");
	for (unsigned i = 0; i < shape->n; i++) {
		unsigned nslots = metrics_slots_of(shape->fields[i]);
		struct sums all = sum_up(shape, only, slot, nslots);

		text_str(t, i > 0 ? "," : "");
		put_key(t, shape->fields[i]);
		if (nslots == METRICS_LATENCY) {
			text_str(t, "{\"min_us\":");
			text_u64(t, all.min);
			text_str(t, ",\"max_us\":");
			text_u64(t, all.max);
			text_str(t, ",\"sum_us\":");
		}
		text_u64(t, all.sum);
		text_str(t, nslots == METRICS_LATENCY ? "}" : "");
		slot += nslots;
	}
	text_str(t, "}");
}

static void put_groups(struct text *t, const struct metrics_shape *shape)
{
	if (shape->ours)
		return;
	if (!shape->no_sum) {
		text_str(t, ",");
		put_key(t, shape->name);
		put_fields(t, shape, NULL);
	}
	for (const struct metrics_group *g = metrics_registry.first; g; g = g->next) {
		if (g->shape != shape || !g->id)
			continue;
		text_str(t, ",\"");
		text_str(t, shape->name);
		text_str(t, "_");
		text_str(t, g->id);
		text_str(t, "\":");
		put_fields(t, shape, g);
	}
}

static bool make_line(void)
{
	struct text t = { .buf = sink.line, .cap = sizeof(sink.line) };

	look();
	text_str(&t, "{\"utc_timestamp_ms\":");
	text_u64(&t, clock_usec(CLOCK_REALTIME) / USEC_PER_MSEC);
	if (sink.id[0]) {
		text_str(&t, ",\"id\":\"");
		text_str(&t, sink.id);
		text_str(&t, "\"");
	}
	if (sink.properties[0]) {
		text_str(&t, ",\"properties\":");
		text_str(&t, sink.properties);
	}
	for (unsigned i = 0; i < metrics_registry.nshapes; i++)
		put_groups(&t, metrics_registry.shapes[i]);
	text_str(&t, "}\n");
	sink.at = 0;
	sink.len = t.len;
	return text_ok(&t);
}

/* The line is on its way: what it says need not be said again. */
static void commit(void)
{
	for (struct metrics_group *g = metrics_registry.first; g; g = g->next)
		memcpy(g->flushed, g->flushed + g->shape->slots,
		       g->shape->slots * sizeof(*g->flushed));
}

/* --- the sink -------------------------------------------------------------------- */

/* As much of the line as the sink takes: 1 all of it, 0 a part, else -errno. */
static int push(void)
{
	size_t begun = sink.at;

	while (sink.at < sink.len) {
		ssize_t n = write(sink.fd, sink.line + sink.at, sink.len - sink.at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return sink.at > begun ? 0 : n < 0 ? -errno : -EIO;
		sink.at += (size_t)n;
	}
	return 1;
}

/* What is begun is ended first; then a new line, as far as there is room. */
static int write_line(void)
{
	int r = FAULT(-EIO);

	if (r == 0 && sink.at < sink.len) {
		r = push();
		if (r == 0)
			return -EAGAIN;
	}
	if (r < 0)
		return r;
	if (!make_line()) {
		sink.len = 0;
		counter_inc(&log_metrics.metrics_fails);
		return -ENOBUFS;
	}
	r = push();
	if (r < 0) {
		sink.len = sink.at = 0;
		return r;
	}
	commit();
	return 0;
}

int metrics_flush(void)
{
	int r;

	if (sink.fd < 0)
		return 0;
	metrics_claim();
	r = write_line();
	metrics_release();
	if (r < 0)
		counter_inc(&log_metrics.missed_metrics_count);
	return r;
}

bool metrics_unfinished(void)
{
	return sink.at < sink.len;
}

void metrics_go_on(void)
{
	metrics_claim();
	(void)push();
	metrics_release();
}

/* Whether the sink takes more within what is left of the time. */
static bool wait_for_room(usec_t end)
{
	struct pollfd p = { .fd = sink.fd, .events = POLLOUT };
	usec_t t = clock_monotonic();

	return t < end && poll(&p, 1, (int)((end - t) / USEC_PER_MSEC) + 1) > 0;
}

void metrics_flush_end(int limit_ms)
{
	usec_t end = clock_monotonic() + (usec_t)limit_ms * USEC_PER_MSEC;
	int r = metrics_flush();

	while (r == -EAGAIN && wait_for_room(end))
		r = metrics_flush();
	while (r == 0 && metrics_unfinished() && wait_for_room(end))
		metrics_go_on();
}

void metrics_flush_dying(void)
{
	if (sink.fd < 0 || !metrics_try_claim())
		return;
	if (write_line() == 0 && metrics_unfinished())
		(void)push();
}

int metrics_open(const char *path, const char *id, const char *properties, struct err *e)
{
	int fd;

	if (sink.fd >= 0)
		return err_set(e, ERR_STATE, -EALREADY, "Reinitialization of metrics not allowed.");
	fd = fd_open_output(path);
	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "%s (os error %d)", strerror(-fd), -fd);
	if (id)
		memcpy(sink.id, id, strnlen(id, sizeof(sink.id) - 1));
	if (properties)
		memcpy(sink.properties, properties,
		       strnlen(properties, sizeof(sink.properties) - 1));
	sink.fd = fd;
	return 0;
}

int metrics_fd(void)
{
	return sink.fd;
}
