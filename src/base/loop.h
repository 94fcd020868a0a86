/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop: one per thread, epoll below, sources and timers embedded in their
 * owners. Callbacks get the source and find the owner with container_of().
 *
 * All functions are for the loop's own thread, loop_stop() included; other threads
 * reach a loop through an mbox or an eventfd. A callback may add, change and
 * remove any source or timer, its own too: a removed source gets no further
 * callback, not even one that the running turn has already fetched.
 *
 * Callbacks bound their own work (a budget) and ask to be called again, so that no
 * source can starve the others.
 */
#pragma once

#include <sys/epoll.h>

#include "base/adaptive_poll.h"
#include "base/cc.h"
#include "base/clock.h"

struct loop_src;
typedef void (*loop_fn)(struct loop_src *src, uint32_t events);

struct loop_src {
	int fd;		 /* the owner's */
	uint32_t events; /* EPOLLIN, ... */
	loop_fn fn;
	bool added; /* the loop's */
};

struct loop_timer;
typedef void (*loop_timer_fn)(struct loop_timer *timer);

struct loop_timer {
	loop_timer_fn fn;
	usec_t due;		 /* CLOCK_MONOTONIC; the loop's while set */
	struct loop_timer *next; /* the loop's */
	bool set;		 /* the loop's */
};

struct loop_task;
typedef void (*loop_task_fn)(struct loop_task *task);

struct loop_task { /* something that a whole turn's work needs once */
	loop_task_fn fn;
	struct loop_task *next; /* the loop's */
	bool queued;		/* the loop's */
};

struct loop_watch;

struct loop_watch { /* work that shows in memory before its event comes, or without one */
	/* Cheap: no lock and no system call. */
	bool (*ready)(const struct loop_watch *watch);
	/* `found': it was ready. If not, the loop sleeps next: have the event sent now. */
	void (*fn)(struct loop_watch *watch, bool found);
	struct loop_watch *next; /* the loop's */
	bool queued;		 /* the loop's */
};

enum { LOOP_BATCH = 32 };

struct loop {
	int epfd;
	bool stopped;
	struct loop_timer *timers;  /* by due */
	struct loop_task *tasks;    /* of the end of this turn */
	struct loop_watch *watches; /* oldest first */
	struct adaptive_poll poll;
	struct epoll_event batch[LOOP_BATCH];
	int nbatch; /* entries of batch that are being dispatched */
};

must_check int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* 0 or -errno; -EPERM for a file that cannot be polled (a regular one). */
must_check int loop_add(struct loop *loop, struct loop_src *src);
/* Changes what is waited for; 0 events keeps the source but silences it. */
void loop_modify(struct loop *loop, struct loop_src *src, uint32_t events);
/* No-op for a source that was not added. Before the descriptor is closed. */
void loop_remove(struct loop *loop, struct loop_src *src);

/* Calls back once, at `due' or later. Set again: moved. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, usec_t due);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * Calls back once, after the sources and timers of the running turn, or of the next
 * one when none runs. A task that is queued already stays so.
 */
void loop_at_turn_end(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop *loop, struct loop_task *task);

/*
 * Lets the loop poll its watches, for so long at most, before it sleeps (adaptive_poll.h).
 * 0, as after loop_init(): never. Of use where who makes the work runs on another processor.
 */
void loop_set_poll_max(struct loop *loop, usec_t max);

/* Whether it would poll now. If not, loop_watch() only delays the event. */
must_check bool loop_polls(const struct loop *loop);

/*
 * From the end of this turn `ready' is asked again and again, until it is, or until the loop
 * is about to sleep; then `fn' is called, once. It may watch again only what was found. One
 * that is queued already stays where it is.
 */
void loop_watch(struct loop *loop, struct loop_watch *watch);
/* Whether it was queued: `fn' is not called then. */
bool loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* One turn: waits at most `limit_ms' (-1: for ever), dispatches. -errno of epoll. */
must_check int loop_turn(struct loop *loop, int limit_ms);

/* Turns until loop_stop(). */
must_check int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
