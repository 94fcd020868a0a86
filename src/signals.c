/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/term.h"
#include "base/text.h"
#include "schema.h"

enum { STACK_SIZE = 16 << 10 };

struct signals_metrics signals_metrics;

static const struct fatal {
	int sig;
	int status;
	const char *name;
	counter_t *count;
} fatals[] = {
	{ SIGBUS, 149, "SIGBUS", &signals_metrics.sigbus },
	{ SIGSEGV, 150, "SIGSEGV", &signals_metrics.sigsegv },
	{ SIGXFSZ, 151, "SIGXFSZ", &signals_metrics.sigxfsz },
	{ SIGXCPU, 154, "SIGXCPU", &signals_metrics.sigxcpu },
	{ SIGHUP, 156, "SIGHUP", &signals_metrics.sighup },
	{ SIGILL, 157, "SIGILL", &signals_metrics.sigill },
};

/* The status of the first fatal signal, 0 before it. */
static int dying; /* (A) */

/* --- handlers: copying and write(2), nothing else ----------------------------- */

static void put_code(struct text *t, int code)
{
	if (code < 0)
		text_str(t, "-");
	text_u64(t, (uint64_t)(code < 0 ? -(int64_t)code : code));
}

static void say(const struct text *t)
{
	int fd = log_fd();

	if (write(fd < 0 ? STDERR_FILENO : fd, t->buf, t->len) < 0)
		return; /* full or closed: the exit status says it too */
}

/*
 * The last line of metrics, of a process that may be broken: what fails on the way to
 * it comes back to on_fatal() on this thread, and the process ends as it would have.
 */
static void flush_metrics(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(fatals); i++)
		sigaddset(&set, fatals[i].sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	metrics_flush_dying();
}

static void on_fatal(int sig, siginfo_t *info, void *context)
{
	const struct fatal *f = fatals;
	char buf[160];
	struct text t = TEXT_ON(buf);
	int first = 0;

	(void)context;
	while (f->sig != sig)
		f++;
	if (!__atomic_compare_exchange_n(&dying, &first, f->status, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		_exit(first);
	counter_inc(f->count);
	text_str(&t, "Shutting down VM after intercepting signal ");
	text_u64(&t, (uint64_t)sig);
	text_str(&t, ", code ");
	put_code(&t, info->si_code);
	text_str(&t, " (");
	text_str(&t, f->name);
	text_str(&t, "). exit_code=");
	text_u64(&t, (uint64_t)f->status);
	text_str(&t, " exit_reason=signal\n");
	say(&t);
	term_restore();
	flush_metrics();
	_exit(f->status);
}

/* A failed assertion: counted and written, then the process ends as it was about to. */
static void on_abort(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	schema_count_panic();
	metrics_flush_dying();
	(void)raise(sig); /* SA_RESETHAND and SA_NODEFER: this is the end */
	/* But not of process 1 of a PID namespace, which no default action can end. */
	_exit(128 + sig);
}

static void on_sigpipe(int sig, siginfo_t *info, void *context)
{
	static int said; /* (A) the log itself may be the broken pipe: once, not for ever */
	char buf[64];
	struct text t = TEXT_ON(buf);
	int kept = errno;

	(void)sig;
	(void)context;
	counter_inc(&signals_metrics.sigpipe);
	if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED)) {
		text_str(&t, "Received signal 13, code ");
		put_code(&t, info->si_code);
		text_str(&t, " (SIGPIPE).\n");
		say(&t);
	}
	errno = kept;
}

/* --- installing --------------------------------------------------------------- */

static bool is_ours_to_take(int sig)
{
	struct sigaction old;

	if (sigaction(sig, NULL, &old) < 0)
		return false;
	if (old.sa_handler == SIG_IGN)
		return sig != SIGHUP;
	return old.sa_handler == SIG_DFL;
}

static int handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigfillset(&sa.sa_mask); /* with SIGTTOU: the terminal is ours to restore */
	if (flags & SA_NODEFER)
		sigdelset(&sa.sa_mask, sig);
	return is_ours_to_take(sig) && sigaction(sig, &sa, NULL) < 0 ? -errno : 0;
}

/* A main thread that has run out of stack can still say so. */
static int give_stack(void)
{
	static uint8_t stack[STACK_SIZE];
	stack_t ours = { .ss_sp = stack, .ss_size = sizeof(stack) }, old;

	if (sigaltstack(NULL, &old) < 0)
		return -errno;
	if (!(old.ss_flags & SS_DISABLE))
		return 0; /* a sanitizer's */
	return sigaltstack(&ours, NULL) < 0 ? -errno : 0;
}

/* Whoever started us may have ignored or blocked what is inherited. */
static int open_inherited(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	for (unsigned i = 0; i < ARRAY_SIZE(fatals); i++)
		sigaddset(&set, fatals[i].sig);
	if (sigaction(SIGTERM, &dfl, NULL) < 0)
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int signals_init(struct err *e)
{
	int r = give_stack();

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(fatals); i++)
		r = handle(fatals[i].sig, on_fatal, SA_ONSTACK);
	if (r == 0)
		r = handle(SIGPIPE, on_sigpipe, SA_ONSTACK | SA_RESTART);
	if (r == 0)
		r = handle(SIGABRT, on_abort, SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
	if (r == 0)
		r = open_inherited();
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "signal handlers: %s", strerror(-r)) : 0;
}
