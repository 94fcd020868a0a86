/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "base/fault.h"
#include "base/fd.h"
#include "test.h"

static struct loop loop;

struct counted {
	struct loop_src src;
	unsigned calls;
	struct counted *other;
	struct loop_timer timer;
	unsigned fired;
};

static struct counted a, b;

static void make(struct counted *c, loop_fn fn)
{
	*c = (struct counted){ .src = { .fd = fd_event_create(), .events = EPOLLIN, .fn = fn } };
	CHECK(c->src.fd >= 0);
	CHECK_EQ(loop_add(&loop, &c->src), 0);
}

static struct counted *of(struct loop_src *src)
{
	return container_of(src, struct counted, src);
}

static void on_count(struct loop_src *src, uint32_t events)
{
	CHECK_EQ(events, EPOLLIN);
	of(src)->calls++;
}

static void turn(void)
{
	CHECK_EQ(loop_turn(&loop, 0), 0);
}

TEST(a_ready_source_is_called)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_count);
	turn();
	CHECK_EQ(a.calls, 0);
	fd_event_signal(a.src.fd);
	turn();
	turn(); /* still readable */
	CHECK_EQ(a.calls, 2);
	fd_event_take(a.src.fd);
	turn();
	CHECK_EQ(a.calls, 2);
	loop_fini(&loop);
	loop_fini(&loop);
}

TEST(modify_silences_and_rearms)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_count);
	fd_event_signal(a.src.fd);
	loop_modify(&loop, &a.src, 0);
	turn();
	CHECK_EQ(a.calls, 0);
	loop_modify(&loop, &a.src, EPOLLIN);
	loop_modify(&loop, &a.src, EPOLLIN);
	turn();
	CHECK_EQ(a.calls, 1);
}

static void on_remove_both(struct loop_src *src, uint32_t events)
{
	(void)events;
	of(src)->calls++;
	loop_remove(&loop, src);
	loop_remove(&loop, &of(src)->other->src);
}

/* Both are ready in one turn; whichever comes first, the other is not called. */
TEST(a_removed_source_is_not_called_in_the_same_turn)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_remove_both);
	make(&b, on_remove_both);
	a.other = &b;
	b.other = &a;
	fd_event_signal(a.src.fd);
	fd_event_signal(b.src.fd);
	turn();
	CHECK_EQ(a.calls + b.calls, 1);
	loop_remove(&loop, &a.src); /* no-op */
	turn();
	CHECK_EQ(a.calls + b.calls, 1);
}

static void on_add_other(struct loop_src *src, uint32_t events)
{
	(void)events;
	of(src)->calls++;
	loop_remove(&loop, src);
	if (of(src)->other)
		CHECK_EQ(loop_add(&loop, &of(src)->other->src), 0);
}

TEST(a_callback_may_add_and_come_back)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_add_other);
	make(&b, on_count);
	loop_remove(&loop, &b.src);
	a.other = &b;
	fd_event_signal(a.src.fd);
	fd_event_signal(b.src.fd);
	turn();
	turn();
	CHECK_EQ(a.calls, 1);
	CHECK_EQ(b.calls, 1);
	CHECK_EQ(loop_add(&loop, &a.src), 0);
	a.other = NULL;
	turn();
	CHECK_EQ(a.calls, 2);
}

static void on_modify_other(struct loop_src *src, uint32_t events)
{
	(void)events;
	of(src)->calls++;
	loop_modify(&loop, src, 0);
}

TEST(a_callback_may_silence_itself)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_modify_other);
	fd_event_signal(a.src.fd);
	turn();
	turn();
	CHECK_EQ(a.calls, 1);
}

TEST(more_sources_than_a_batch)
{
	enum { MANY = 3 * LOOP_BATCH };
	static struct counted many[MANY];

	CHECK_EQ(loop_init(&loop), 0);
	for (unsigned i = 0; i < MANY; i++) {
		make(&many[i], on_count);
		fd_event_signal(many[i].src.fd);
	}
	for (unsigned i = 0; i < 6; i++)
		turn();
	for (unsigned i = 0; i < MANY; i++)
		CHECK_EQ(many[i].calls, 2); /* epoll is fair */
}

TEST(a_regular_file_cannot_be_polled)
{
	struct loop_src src = { .fd = open("/proc/self/exe", O_RDONLY), .events = EPOLLIN };
	struct loop_src none = { .fd = -1, .events = EPOLLIN };

	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(loop_add(&loop, &src), -EPERM);
	CHECK(!src.added);
	CHECK_EQ(loop_add(&loop, &none), -EBADF);
	loop_remove(&loop, &src);
}

static unsigned order[8], norder;

static void on_timer(struct loop_timer *t)
{
	struct counted *c = container_of(t, struct counted, timer);

	CHECK(!t->set);
	CHECK(clock_monotonic() >= t->due);
	c->fired++;
	order[norder++ % 8] = c->calls; /* the test's number for it */
}

static void run_for(unsigned ms)
{
	usec_t until = clock_monotonic() + ms * USEC_PER_MSEC;
	bool over;

	do { /* once more behind the end, however late it is noticed */
		over = clock_monotonic() >= until;
		CHECK_EQ(loop_turn(&loop, 1), 0);
	} while (!over);
}

TEST(timers_in_order)
{
	static struct counted t[4];
	usec_t now = clock_monotonic();
	static const unsigned delay_ms[4] = { 30, 10, 20, 10 };
	static const unsigned want[4] = { 1, 3, 2, 0 };

	CHECK_EQ(loop_init(&loop), 0);
	for (unsigned i = 0; i < 4; i++) {
		t[i].timer.fn = on_timer;
		t[i].calls = i;
		loop_timer_set(&loop, &t[i].timer, now + delay_ms[i] * USEC_PER_MSEC);
	}
	run_for(60);
	CHECK_EQ(norder, 4);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(order[i], want[i]);
}

TEST(a_timer_can_be_moved_and_cancelled)
{
	static struct counted t[3];
	usec_t now = clock_monotonic();

	CHECK_EQ(loop_init(&loop), 0);
	for (unsigned i = 0; i < 3; i++) {
		t[i].timer.fn = on_timer;
		loop_timer_set(&loop, &t[i].timer, now + 5 * USEC_PER_MSEC);
	}
	loop_timer_set(&loop, &t[0].timer, now + 60 * USEC_PER_SEC);
	loop_timer_cancel(&loop, &t[1].timer);
	loop_timer_cancel(&loop, &t[1].timer);
	run_for(20);
	CHECK_EQ(t[0].fired, 0);
	CHECK_EQ(t[1].fired, 0);
	CHECK_EQ(t[2].fired, 1);
	loop_timer_set(&loop, &t[0].timer, 0); /* the past: next turn */
	turn();
	CHECK_EQ(t[0].fired, 1);
	turn();
	CHECK_EQ(t[0].fired, 1);
}

static void on_again(struct loop_timer *t)
{
	container_of(t, struct counted, timer)->fired++;
	loop_timer_set(&loop, t, clock_monotonic() + 10);
}

TEST(a_timer_that_sets_itself_waits_for_the_next_turn)
{
	static struct counted t;

	CHECK_EQ(loop_init(&loop), 0);
	t.timer.fn = on_again;
	loop_timer_set(&loop, &t.timer, 0);
	turn();
	CHECK_EQ(t.fired, 1);
	run_for(5);
	CHECK(t.fired > 1);
}

TEST(a_turn_ends_at_its_limit_and_for_a_timer)
{
	static struct counted t;
	usec_t before = clock_monotonic();

	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(loop_turn(&loop, 20), 0);
	CHECK(clock_monotonic() - before >= 19 * USEC_PER_MSEC);
	t.timer.fn = on_timer;
	loop_timer_set(&loop, &t.timer, clock_monotonic() + 3 * USEC_PER_MSEC);
	while (t.fired == 0)
		CHECK_EQ(loop_turn(&loop, -1), 0);
	loop_timer_set(&loop, &t.timer, UINT64_MAX); /* further than epoll can count */
	CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(t.fired, 1);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST(an_interrupted_wait_is_an_empty_turn)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	/* Again and again: the first may come before the wait. */
	struct itimerval soon = { .it_value.tv_usec = 10000, .it_interval.tv_usec = 10000 };

	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
	CHECK_EQ(loop_turn(&loop, -1), 0);
}

static void on_stop(struct loop_src *src, uint32_t events)
{
	(void)events;
	of(src)->calls++;
	loop_stop(&loop);
}

TEST(run_ends_with_stop_or_an_error)
{
	CHECK_EQ(loop_init(&loop), 0);
	make(&a, on_stop);
	fd_event_signal(a.src.fd);
	CHECK_EQ(loop_run(&loop), 0);
	CHECK_EQ(a.calls, 1);
	loop.stopped = false;
	close(loop.epfd);
	CHECK_EQ(loop_run(&loop), -EBADF);
}

/* --- watches --- */

struct watched {
	struct loop_watch watch;
	unsigned work, found, given_up;
	bool again;
};

static bool has_work(const struct loop_watch *watch)
{
	return __atomic_load_n(&container_of(watch, struct watched, watch)->work,
			       __ATOMIC_ACQUIRE) > 0;
}

static void on_watch(struct loop_watch *watch, bool found)
{
	struct watched *w = container_of(watch, struct watched, watch);

	CHECK(!watch->queued);
	if (!found) {
		w->given_up++;
		return;
	}
	w->found++;
	w->work--;
	if (w->again)
		loop_watch(&loop, watch);
}

#define WATCHED                                               \
	{                                                     \
		.watch = {.ready = has_work, .fn = on_watch } \
	}

/* As after sleeps that were short. */
static void start_polling(usec_t usec)
{
	CHECK_EQ(loop_init(&loop), 0);
	CHECK(!loop_polls(&loop));
	loop_set_poll_max(&loop, usec);
	CHECK(!loop_polls(&loop));
	loop.poll.time = usec;
	CHECK(loop_polls(&loop));
}

TEST(what_is_watched_is_found_without_an_event)
{
	struct watched w = WATCHED;

	start_polling(USEC_PER_SEC);
	loop_watch(&loop, &w.watch);
	loop_watch(&loop, &w.watch);
	w.work = 1;
	CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(w.found, 1);
	CHECK(!loop.watches);
	loop_fini(&loop);
}

static void *work_later(void *arg)
{
	struct watched *w = arg;

	usleep(2000);
	__atomic_store_n(&w->work, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST(what_comes_while_it_polls_is_found)
{
	struct watched w = WATCHED;
	pthread_t thread;

	start_polling(600 * USEC_PER_SEC);
	loop_watch(&loop, &w.watch);
	CHECK_EQ(pthread_create(&thread, NULL, work_later, &w), 0);
	CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.given_up, 0);
	pthread_join(thread, NULL);
	loop_fini(&loop);
}

TEST(a_watch_is_given_up_before_the_loop_sleeps)
{
	struct watched w[2] = { WATCHED, WATCHED };

	start_polling(100);
	loop_watch(&loop, &w[0].watch);
	loop_watch(&loop, &w[1].watch);
	CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(w[0].given_up, 1);
	CHECK_EQ(w[1].given_up, 1);
	CHECK(!loop.watches);
	CHECK(!loop_polls(&loop)); /* the sleep was long */
	loop_fini(&loop);
}

TEST(a_turn_that_does_not_sleep_keeps_its_watches)
{
	struct watched w = WATCHED;

	start_polling(100);
	loop_watch(&loop, &w.watch);
	turn();
	CHECK_EQ(w.given_up, 0);
	w.work = 1;
	turn();
	CHECK_EQ(w.found, 1);
	loop_fini(&loop);
}

TEST(unwatched_is_not_called)
{
	struct watched w[3] = { WATCHED, WATCHED, WATCHED };

	start_polling(100);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		loop_watch(&loop, &w[i].watch);
	CHECK(loop_unwatch(&loop, &w[1].watch));
	CHECK(!loop_unwatch(&loop, &w[1].watch));
	CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(w[0].given_up, 1);
	CHECK_EQ(w[1].given_up, 0);
	CHECK_EQ(w[2].given_up, 1);
	loop_fini(&loop);
}

/* Two that always have work take turns, and keep nobody from the epoll set. */
TEST(watches_are_fair_to_each_other_and_to_events)
{
	struct watched w[2] = { WATCHED, WATCHED };

	start_polling(USEC_PER_SEC);
	make(&a, on_count);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].work = 1000;
		w[i].again = true;
		loop_watch(&loop, &w[i].watch);
	}
	for (unsigned i = 0; i < 50; i++)
		CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(w[0].found, 25);
	CHECK_EQ(w[1].found, 25);
	fd_event_signal(a.src.fd);
	CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(a.calls, 1);
	loop_fini(&loop);
}

struct remover {
	struct loop_watch watch;
	struct loop_src *victim;
};

static bool at_once(const struct loop_watch *watch)
{
	(void)watch;
	return true;
}

static void on_remove(struct loop_watch *watch, bool found)
{
	CHECK(found);
	loop_remove(&loop, container_of(watch, struct remover, watch)->victim);
}

/* What a watch removes gets no event, though the turn has fetched it before. */
TEST(a_watch_may_remove_what_the_turn_has_fetched)
{
	struct remover r = { .watch = { .ready = at_once, .fn = on_remove } };

	start_polling(USEC_PER_SEC);
	make(&a, on_count);
	make(&b, on_count);
	r.victim = &a.src;
	fd_event_signal(a.src.fd);
	fd_event_signal(b.src.fd);
	loop_watch(&loop, &r.watch);
	CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK(!a.src.added);
	CHECK_EQ(a.calls, 0);
	CHECK_EQ(b.calls, 1);
	loop_fini(&loop);
}

static void *signal_later(void *arg)
{
	usleep(2000);
	fd_event_signal(*(int *)arg);
	return NULL;
}

TEST(an_event_ends_the_polling)
{
	struct watched w = WATCHED;
	pthread_t thread;

	start_polling(600 * USEC_PER_SEC);
	make(&a, on_count);
	loop_watch(&loop, &w.watch);
	CHECK_EQ(pthread_create(&thread, NULL, signal_later, &a.src.fd), 0);
	while (a.calls == 0)
		CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(w.given_up, 0);
	CHECK(w.watch.queued);
	pthread_join(thread, NULL);
	loop_fini(&loop);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(failures_are_codes)
{
	struct loop_src src = { .fd = fd_event_create(), .events = EPOLLIN };

	fault_arm(0);
	CHECK_EQ(loop_init(&loop), -EMFILE);
	CHECK_EQ(loop_init(&loop), 0);
	fault_arm(0);
	CHECK_EQ(loop_add(&loop, &src), -ENOSPC);
	CHECK(!src.added);
	CHECK_EQ(loop_add(&loop, &src), 0);
}
#endif
