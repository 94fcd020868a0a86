/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <assert.h>

#include "base/fault.h"

enum { POLL_SLICE_USEC = 4, POLLS_A_TIME = 16 };

int loop_init(struct loop *loop)
{
	int fd = FAULT(-EMFILE);

	if (fd < 0)
		return fd;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	*loop = (struct loop){ .epfd = fd };
	return 0;
}

void loop_fini(struct loop *loop)
{
	if (loop->epfd >= 0)
		close(loop->epfd);
	loop->epfd = -1;
}

int loop_add(struct loop *loop, struct loop_src *src)
{
	struct epoll_event ev = { .events = src->events, .data.ptr = src };
	int r = FAULT(-ENOSPC);

	assert(!src->added);
	if (r < 0)
		return r;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		return -errno;
	src->added = true;
	return 0;
}

void loop_modify(struct loop *loop, struct loop_src *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	assert(src->added);
	if (src->events == events)
		return;
	src->events = events;
	/* Cannot fail: the descriptor is in the set, and MOD needs no memory. */
	(void)epoll_ctl(loop->epfd, EPOLL_CTL_MOD, src->fd, &ev);
}

void loop_remove(struct loop *loop, struct loop_src *src)
{
	if (!src->added)
		return;
	src->added = false;
	(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	for (int i = 0; i < loop->nbatch; i++)
		if (loop->batch[i].data.ptr == src)
			loop->batch[i].data.ptr = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, usec_t due)
{
	struct loop_timer **at = &loop->timers;

	loop_timer_cancel(loop, timer);
	timer->due = due;
	timer->set = true;
	while (*at && (*at)->due <= due)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	if (!timer->set)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->set = false;
}

/* Milliseconds until the first timer, rounded up, within limit_ms (-1: none). */
static int wait_ms(const struct loop *loop, int limit_ms)
{
	usec_t now, left;

	if (!loop->timers)
		return limit_ms;
	now = clock_monotonic();
	left = loop->timers->due > now ? loop->timers->due - now : 0;
	left = (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
	if (limit_ms >= 0 && left > (usec_t)limit_ms)
		return limit_ms;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

static void run_timers(struct loop *loop)
{
	usec_t now = loop->timers ? clock_monotonic() : 0;

	/* `now' is fixed, so a timer that sets itself again waits for the next turn. */
	while (loop->timers && loop->timers->due <= now) {
		struct loop_timer *t = loop->timers;

		loop_timer_cancel(loop, t);
		t->fn(t);
	}
}

void loop_at_turn_end(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = loop->tasks;
	loop->tasks = task;
}

void loop_task_cancel(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at = &loop->tasks;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	task->queued = false;
}

static void run_tasks(struct loop *loop)
{
	while (loop->tasks) {
		struct loop_task *task = loop->tasks;

		loop_task_cancel(loop, task);
		task->fn(task);
	}
}

/* --- watches ----------------------------------------------------------------- */

void loop_set_poll_max(struct loop *loop, usec_t max)
{
	loop->poll = (struct adaptive_poll){ .max = max };
}

bool loop_polls(const struct loop *loop)
{
	return loop->poll.time > 0;
}

void loop_watch(struct loop *loop, struct loop_watch *watch)
{
	struct loop_watch **at = &loop->watches;

	if (watch->queued)
		return;
	while (*at)
		at = &(*at)->next;
	watch->queued = true;
	watch->next = NULL;
	*at = watch;
}

bool loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	struct loop_watch **at = &loop->watches;

	if (!watch->queued)
		return false;
	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	watch->queued = false;
	return true;
}

/* The first that is ready is served; what it watches next waits behind the others. */
static bool serve_watch(struct loop *loop)
{
	for (struct loop_watch *w = loop->watches; w; w = w->next) {
		if (!w->ready(w))
			continue;
		(void)loop_unwatch(loop, w);
		w->fn(w, true);
		return true;
	}
	return false;
}

static void give_up_watches(struct loop *loop)
{
	while (loop->watches) {
		struct loop_watch *w = loop->watches;

		(void)loop_unwatch(loop, w);
		w->fn(w, false);
	}
}

static void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

/*
 * Until something is ready, in memory or in the epoll set, or the time is up. Events of the
 * set in *ret_n; false: there was nothing, and every watch was given up.
 */
static bool poll_watches(struct loop *loop, usec_t began, int *ret_n)
{
	usec_t now = began, slice;

	*ret_n = 0;
	do {
		/* Who waits in the set is not kept from it for longer than this. */
		for (slice = now + POLL_SLICE_USEC; now < slice; now = clock_monotonic()) {
			for (unsigned i = 0; i < POLLS_A_TIME; i++) {
				if (serve_watch(loop)) {
					adaptive_poll_hit(&loop->poll);
					return true;
				}
				relax();
			}
		}
		*ret_n = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, 0);
		if (*ret_n != 0)
			return true;
	} while (now - began < loop->poll.time);
	give_up_watches(loop);
	return false;
}

static int sleep_for(struct loop *loop, int ms, usec_t began)
{
	int n = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, ms);

	if (loop->poll.max > 0 && n >= 0)
		adaptive_poll_slept(&loop->poll, clock_monotonic() - began);
	return n;
}

/* Events of the set, or -1 with errno; 0 also for what a watch has found. */
static int wait_for_events(struct loop *loop, int ms)
{
	usec_t began;
	int n = 0;

	/* Who is ready now goes first. */
	if (loop->watches || ms == 0)
		n = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, 0);
	if (n == 0 && ms != 0) {
		began = loop->poll.max > 0 ? clock_monotonic() : 0;
		if (!loop->watches || !poll_watches(loop, began, &n))
			n = sleep_for(loop, ms, began);
	} else if (n >= 0) {
		loop->nbatch = n; /* fetched: what the watch removes gets no callback */
		(void)serve_watch(loop);
	}
	return n;
}

int loop_turn(struct loop *loop, int limit_ms)
{
	int n = wait_for_events(loop, loop->tasks ? 0 : wait_ms(loop, limit_ms));

	if (n < 0)
		return errno == EINTR ? 0 : -errno; /* signals and io_uring task work */
	loop->nbatch = n;
	for (int i = 0; i < n; i++) {
		struct loop_src *src = loop->batch[i].data.ptr;

		if (src)
			src->fn(src, loop->batch[i].events);
	}
	loop->nbatch = 0;
	run_timers(loop);
	run_tasks(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (r == 0 && !loop->stopped)
		r = loop_turn(loop, -1);
	return r;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
