/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads: name + filter + run.
 *
 * A thread of ours never runs before it has been isolated: thread_start() makes
 * it set its name, then call the isolation hook for its kind (which installs the
 * seccomp filter), then `run'. The hook comes from main, so that no layer below
 * knows the jail. All signals are blocked in a new thread except the kick
 * signal (THREAD_KICK) and those that a fault of its own raises.
 */
#pragma once

#include <pthread.h>
#include <signal.h>

#include "base/cc.h"
#include "base/err.h"

enum thread_kind {
	THREAD_VMM, /* main: loop and devices */
	THREAD_API,
	THREAD_VCPU,
};

/* Interrupts KVM_RUN; its handler does nothing. */
#define THREAD_KICK (SIGRTMIN)

struct isolation {
	/* Called on the thread to be confined. Idempotent it is not: once each. */
	int (*enter)(const struct isolation *iso, enum thread_kind kind, struct err *e);
};

struct thread {
	pthread_t id;
	bool started;
	char name[16];
	enum thread_kind kind;
	const struct isolation *iso;  /* main's; NULL: unconfined (tests) */
	void (*run)(struct thread *); /* owner by container_of */
	/* Called on the new thread instead of run() when isolation failed. */
	void (*failed)(struct thread *, const struct err *);
};

/* Installs the empty handler of THREAD_KICK. Once, before the first thread. */
must_check int thread_init(struct err *e);

/* Fields name, kind, iso, run and failed are set by the caller. */
must_check int thread_start(struct thread *t, struct err *e);

/* Waits for a thread that is about to return; no-op when never started. */
void thread_join(struct thread *t);
