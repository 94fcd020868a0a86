/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that end the process, with the contract's exit statuses (4.8): one last
 * line in the log, the user's terminal as it was, one last line of metrics, _exit().
 *
 *   SIGBUS 149  SIGSEGV 150  SIGXFSZ 151  SIGXCPU 154  SIGHUP 156  SIGILL 157
 *
 * SIGPIPE is counted and said once: a reader of the log or of the console that goes
 * away is not the guest's fault. SIGABRT is a failed assertion: it writes the metrics
 * and ends the process as it does everywhere. SIGTERM keeps its default action and ends at once.
 * SIGSYS belongs to jail/filter.h.
 */
#pragma once

#include "base/counter.h"
#include "base/err.h"

/* Names and order of the contract's group `signals'. */
#define SIGNALS_METRICS(X) \
	X(sigbus)          \
	X(sigsegv)         \
	X(sigxfsz)         \
	X(sigxcpu)         \
	X(sigpipe)         \
	X(sighup)          \
	X(sigill)

struct signals_metrics {
#define X(name) counter_t name;
	SIGNALS_METRICS(X)
#undef X
};
extern struct signals_metrics signals_metrics;

/*
 * Once, on the main thread, before the first other thread: the filters deny
 * rt_sigaction afterwards. SIGHUP stays ignored when it was (nohup), and a fault
 * that somebody handles already (a sanitizer) stays theirs.
 */
must_check int signals_init(struct err *e);
