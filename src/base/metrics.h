/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: groups of counters from all modules, and the one registry of them.
 *
 * A module keeps its counters in a struct of counter_t (and struct latency), whose
 * members an X-macro names exactly as the contract does (4.3), and registers each
 * such struct as a group. This file knows no device: it walks names and counters.
 *
 *   static const char *const names[] = { X_METRICS(METRICS_NAME) "read_agg" };
 *   const struct metrics_shape x_shape = METRICS_SHAPE("x", names, struct x_metrics);
 *   ...
 *   x->group = (struct metrics_group){ .shape = &x_shape, .id = x->id,
 *                                      .counters = &x->metrics };
 *   r = metrics_add(&x->group);      when the device is made
 *   metrics_remove(&x->group);       when it goes; no-op when it was not added
 *
 * Two forms come out. The contract's: a line of JSON in a file or FIFO, with what has
 * been counted since the last line that was written. And OpenMetrics text with totals
 * since the start, for GET /metrics. Groups with an id are the devices of one kind:
 * the line has `x_<id>' for each and their sums as `x'.
 */
#pragma once

#include "base/counter.h"
#include "base/err.h"
#include "base/text.h"

/* What a group is called and what is in it. Static and constant. */
struct metrics_shape {
	const char *name;
	const char *const *fields; /* one that ends in `_agg' is a struct latency */
	unsigned n;		   /* of them */
	unsigned slots;		   /* counter_t in the struct */
	bool values;		   /* not counted but set: each line has the value itself */
	bool no_sum;		   /* the line has no group for all devices together */
	bool ours;		   /* not in the contract: in the text alone */
};

#define METRICS_NAME(field) #field,
#define METRICS_SHAPE(group, names, type, ...)                              \
	{                                                                   \
		.name = (group), .fields = (names), .n = ARRAY_SIZE(names), \
		.slots = sizeof(type) / sizeof(counter_t), __VA_ARGS__      \
	}

struct metrics_group { /* the module's, where it stays until metrics_remove() */
	const struct metrics_shape *shape;
	const char *id;	      /* of the device; NULL: there is one, or all are one group */
	const void *counters; /* shape->slots of them */
	/* The registry's. */
	uint64_t *flushed; /* owned; what the lines so far have said, and the newest one */
	struct metrics_group *next;
};

/*
 * All groups that exist, in the order in which they are printed; kept by reference.
 * A shape without a group is printed as zeros, a group without a shape here not at
 * all. Once, on the main thread, before the first line.
 */
void metrics_set_schema(const struct metrics_shape *const *shapes, unsigned n);

/* Main thread. 0 or -ENOMEM. */
must_check int metrics_add(struct metrics_group *group);
void metrics_remove(struct metrics_group *group);

/* Bytes that metrics_print_text() needs at most now. Any thread. */
must_check size_t metrics_text_max(void);

/* The groups that exist, as OpenMetrics text without its end mark. Any thread. */
void metrics_print_text(struct text *t);

/* --- the file: main thread ----------------------------------------------------- */

/*
 * Lines go to `path', opened as fd_open_output() does, and may carry `id' and
 * `properties' (a JSON object), both copied; NULL: not printed. Once: the second time
 * is -EALREADY.
 */
must_check int metrics_open(const char *path, const char *id, const char *properties,
			    struct err *e);

enum { METRICS_PROPERTIES_MAX = 4096 }; /* bytes of the JSON object */

/* Readable name of what is open; -1: nothing is. */
must_check int metrics_fd(void);

/*
 * Writes a line, never waiting. 0, also when there is no file; else -errno, and what
 * the line would have said is in the next one. A sink that took a part of the line gets
 * the rest first, by metrics_go_on() or with the next line: lines are never torn.
 */
must_check int metrics_flush(void);

/* Whether the sink owes us room for the rest of a line, and the call that tries again. */
must_check bool metrics_unfinished(void);
void metrics_go_on(void);

/* The last line, and for a sink without room a wait of limit_ms at most. */
void metrics_flush_end(int limit_ms);

/*
 * The last line from a signal handler, on any thread: only copying, a clock and write(2),
 * no lock that could be held by the thread that was interrupted. When a line was just
 * being made it is left out. The process must end after it.
 */
void metrics_flush_dying(void);
