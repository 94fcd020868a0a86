/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line, one write(2), from any thread.
 *
 *   2026-11-20T23:45:41.767987318 [id:thread:LEVEL:file.c:12] text
 *
 * (level and origin only when asked for). Lines of INFO and above go to standard
 * output until log_open() names a file. A sink that is full loses lines, and the
 * loss is counted: a log never blocks the machine. Only the top of a thread logs
 * (main loop, API, vCPU loop); what is below returns errors.
 *
 * What a guest can cause uses log_guest(): ten lines in five seconds for each
 * call site, then silence, and the next line says how many were suppressed.
 */
#pragma once

#include "base/cc.h"
#include "base/counter.h"
#include "base/err.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

struct log_cfg {
	enum log_level level;
	bool show_level;
	bool show_origin;
};

/* `id' is the instance's name, copied. Before the first thread. */
void log_init(const char *id);

/* May be called again, also while other threads log. */
void log_configure(const struct log_cfg *cfg);

/* What is in effect. */
struct log_cfg log_configured(void);

/*
 * Only lines of modules whose name begins with this one; "": of all. A module is a
 * source file: api::http, devices::virtio::vdev, main; Firecracker's api_server is our
 * api. Any thread.
 */
void log_set_module(const char *module);

/*
 * Lines go to `path' from now on; made if need be, never truncated (a FIFO
 * without a reader is fine). Main thread only. On error nothing changes.
 */
must_check int log_open(const char *path, struct err *e);

/* Where lines go now, -1 before log_init(); for a signal handler's last words. */
must_check int log_fd(void);

/* Names and order of the contract's group `logger'. */
#define LOG_METRICS(X)                                                          \
	X(missed_metrics_count)	  /* lines of metrics that were not written */  \
	X(metrics_fails)	  /* lines of metrics that could not be made */ \
	X(missed_log_count)	  /* lines of the log that a full sink lost */  \
	X(rate_limited_log_count) /* lines that log_guest() held back */

struct log_metrics {
#define X(name) counter_t name;
	LOG_METRICS(X)
#undef X
};
extern struct log_metrics log_metrics;

/* Name of a level as the contract spells it ("Info"), and back; -EINVAL. */
const char *log_level_name(enum log_level level);
must_check int log_level_parse(const char *name, enum log_level *ret_level);

printf_like(4, 5) void log_write(enum log_level level, const char *file, int line, const char *fmt,
				 ...);

struct log_limit {	     /* zero-initialised, static, one for each call site */
	uint64_t window;     /* (A) start of the window in s << 8 | lines used in it */
	uint64_t suppressed; /* (A) */
};
must_check bool log_limit_pass(struct log_limit *limit, uint64_t *ret_suppressed);

#define log_at(level, ...) log_write(level, __FILE__, __LINE__, __VA_ARGS__)
#define log_err(...)	   log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)	   log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)	   log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	   log_at(LOG_DEBUG, __VA_ARGS__)

#define log_guest(level, ...)                                                        \
	do {                                                                         \
		static struct log_limit limit_;                                      \
		uint64_t lost_ = 0;                                                  \
		if (log_limit_pass(&limit_, &lost_)) {                               \
			if (lost_ > 0)                                               \
				log_warn("%llu lines like the next were suppressed", \
					 (unsigned long long)lost_);                 \
			log_at(level, __VA_ARGS__);                                  \
		} else {                                                             \
			counter_inc(&log_metrics.rate_limited_log_count);            \
		}                                                                    \
	} while (0)
