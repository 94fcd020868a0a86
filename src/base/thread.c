/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <string.h>

#include "base/fault.h"

static void on_kick(int sig)
{
	(void)sig;
}

int thread_init(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick }; /* no SA_RESTART: KVM_RUN must end */

	if (sigaction(THREAD_KICK, &sa, NULL) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "sigaction for the kick signal: %s",
			       strerror(errno));
	return 0;
}

static void *enter(void *arg)
{
	struct thread *t = arg;
	struct err e = { 0 };

	pthread_setname_np(pthread_self(), t->name);
	if (t->iso && t->iso->enter(t->iso, t->kind, &e) < 0)
		t->failed(t, &e);
	else
		t->run(t);
	return NULL;
}

/* What a new thread inherits: everything blocked that is not its own doing. */
static void signals_for_threads(sigset_t *set)
{
	static const int open[] = { SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,
				    SIGSYS,  SIGTRAP, SIGABRT, SIGXFSZ };

	sigfillset(set);
	for (unsigned i = 0; i < ARRAY_SIZE(open); i++)
		sigdelset(set, open[i]);
	sigdelset(set, THREAD_KICK);
	sigdelset(set, SIGTERM);
}

int thread_start(struct thread *t, struct err *e)
{
	sigset_t set, saved;
	int r;

	signals_for_threads(&set);
	r = FAULT(-EAGAIN);
	if (r == 0) {
		pthread_sigmask(SIG_SETMASK, &set, &saved);
		r = -pthread_create(&t->id, NULL, enter, t);
		pthread_sigmask(SIG_SETMASK, &saved, NULL);
	}
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "thread `%s' cannot be started: %s%s", t->name,
			       strerror(-r),
			       r == -EAGAIN ? "; raise pids.max, TasksMax or RLIMIT_NPROC" : "");
	t->started = true;
	return 0;
}

void thread_join(struct thread *t)
{
	if (!t->started)
		return;
	pthread_join(t->id, NULL);
	t->started = false;
}
