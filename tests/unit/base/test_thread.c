/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <poll.h>
#include <sys/prctl.h>

#include "base/fault.h"
#include "base/fd.h"
#include "test.h"

static struct err err;

struct worker {
	struct thread t;
	char name[16];
	enum thread_kind isolated; /* kind that the hook saw */
	bool isolated_first, ran, failed, kicked;
	char msg[64];
	sigset_t blocked;
	int ready;
};

static struct worker w;

static int enter_ok(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	(void)e;
	w.isolated = kind;
	w.isolated_first = !w.ran;
	return 0;
}

static int enter_fails(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	(void)kind;
	return err_set(e, ERR_INTERNAL, -EPERM, "no filter");
}

static void run(struct thread *t)
{
	struct worker *self = container_of(t, struct worker, t);

	self->ran = true;
	prctl(PR_GET_NAME, self->name);
	pthread_sigmask(SIG_SETMASK, NULL, &self->blocked);
}

static void failed(struct thread *t, const struct err *e)
{
	struct worker *self = container_of(t, struct worker, t);

	self->failed = true;
	snprintf(self->msg, sizeof(self->msg), "%.60s", e->msg);
}

static void prepare(const struct isolation *iso)
{
	w = (struct worker){
		.t = { .name = "fc_vcpu 3",
		       .kind = THREAD_VCPU,
		       .iso = iso,
		       .run = run,
		       .failed = failed },
	};
	CHECK_EQ(thread_init(&err), 0);
}

TEST(name_and_signals)
{
	static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTERM, SIGXFSZ };
	static const int blocked[] = { SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGALRM };
	sigset_t before, after;

	prepare(NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	CHECK_EQ(thread_start(&w.t, &err), 0);
	thread_join(&w.t);
	thread_join(&w.t); /* no-op */
	CHECK(w.ran);
	CHECK(strcmp(w.name, "fc_vcpu 3") == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(open); i++)
		CHECK_EQ(sigismember(&w.blocked, open[i]), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(blocked); i++)
		CHECK_EQ(sigismember(&w.blocked, blocked[i]), 1);
	CHECK_EQ(sigismember(&w.blocked, THREAD_KICK), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig < 65; sig++)
		CHECK_EQ(sigismember(&before, sig), sigismember(&after, sig));
}

TEST(isolation_comes_before_the_work)
{
	static const struct isolation iso = { .enter = enter_ok };

	prepare(&iso);
	CHECK_EQ(thread_start(&w.t, &err), 0);
	thread_join(&w.t);
	CHECK_EQ(w.isolated, THREAD_VCPU);
	CHECK(w.isolated_first);
	CHECK(w.ran);
	CHECK(!w.failed);
}

TEST(without_isolation_nothing_runs)
{
	static const struct isolation iso = { .enter = enter_fails };

	prepare(&iso);
	CHECK_EQ(thread_start(&w.t, &err), 0);
	thread_join(&w.t);
	CHECK(!w.ran);
	CHECK(w.failed);
	CHECK(strcmp(w.msg, "no filter") == 0);
}

static void run_until_kicked(struct thread *t)
{
	struct worker *self = container_of(t, struct worker, t);
	int r;

	fd_event_signal(self->ready);
	r = poll(NULL, 0, -1);
	__atomic_store_n(&self->kicked, r < 0 && errno == EINTR, __ATOMIC_RELEASE);
}

TEST(a_kick_interrupts)
{
	struct pollfd ready = { .events = POLLIN };

	prepare(NULL);
	w.t.run = run_until_kicked;
	w.ready = ready.fd = fd_event_create();
	CHECK_EQ(thread_start(&w.t, &err), 0);
	CHECK_EQ(poll(&ready, 1, -1), 1);
	/* The first may come before it is in its poll(). */
	while (!__atomic_load_n(&w.kicked, __ATOMIC_ACQUIRE)) {
		CHECK_EQ(pthread_kill(w.t.id, THREAD_KICK), 0);
		usleep(1000);
	}
	thread_join(&w.t);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(a_thread_that_cannot_start_is_an_error)
{
	prepare(NULL);
	fault_arm(0);
	CHECK_EQ(thread_start(&w.t, &err), -EAGAIN);
	CHECK(strstr(err.msg, "fc_vcpu 3"));
	CHECK(!w.t.started);
	thread_join(&w.t);
}
#endif
