/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/filter.h"

#include <assert.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "base/metrics.h"
#include "base/term.h"
#include "base/text.h"
#include "jail/filter_file.h"
#include "jail/filter_load.h"
#include "seccomp_api.h"
#include "seccomp_names.h"
#include "seccomp_vcpu.h"
#include "seccomp_vmm.h"

static_assert(ARRAY_SIZE(filter_vmm) <= BPF_MAXINSNS, "the kernel's limit");
static_assert(ARRAY_SIZE(filter_api) <= BPF_MAXINSNS, "the kernel's limit");
static_assert(ARRAY_SIZE(filter_vcpu) <= BPF_MAXINSNS, "the kernel's limit");

#ifndef SYS_SECCOMP /* si_code; the C library's headers name it since 2.37 only */
#define SYS_SECCOMP 1
#endif

counter_t filter_faults;

static int report_fd = STDERR_FILENO; /* (A) */

/* What the report calls this thread; taken before the filter denies asking. */
static _Thread_local char label[16] = "unfiltered";

static const char *const kind_names[] = {
	[THREAD_VMM] = "vmm",
	[THREAD_API] = "api",
	[THREAD_VCPU] = "vcpu",
};

static const char *call_name(int nr)
{
	if (nr < 0 || (size_t)nr >= ARRAY_SIZE(call_names) || !call_names[nr])
		return "unknown";
	return call_names[nr];
}

/* In a signal handler: text_str() and text_u64() only copy, the rest is write(2). */
static void report(const siginfo_t *info)
{
	char buf[192];
	struct text t = TEXT_ON(buf);

	if (info->si_code == SYS_SECCOMP) {
		text_str(&t, "Shutting down VM after intercepting a bad syscall (");
		text_u64(&t, (uint32_t)info->si_syscall);
		text_str(&t, "): `");
		text_str(&t, call_name(info->si_syscall));
		text_str(&t, "' by thread `");
		text_str(&t, label);
		text_str(&t, "' is not in its policy.");
	} else {
		text_str(&t, "Shutting down VM after SIGSYS that another process sent.");
	}
	text_str(&t, " exit_reason=bad-syscall\n");
	if (write(__atomic_load_n(&report_fd, __ATOMIC_RELAXED), t.buf, t.len) < 0)
		return; /* a full or closed log: the exit status says it too */
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	counter_inc(&filter_faults);
	report(info);
	term_restore();
	metrics_flush_dying(); /* clock_gettime and write: every policy allows both */
	_exit(FILTER_EXIT);
}

int filter_init(struct err *e)
{
	/*
	 * A thread that has an alternate stack (sanitizers) is served on it, the others on
	 * their own: a bad call is no stack overflow. A second bad call, made by the handler,
	 * meets a blocked SIGSYS, and the kernel kills the process.
	 */
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int r = FAULT(-EINVAL);

	/*
	 * One malloc arena for all threads: glibc opens /proc/sys/vm/overcommit_memory when it
	 * shrinks any other, so a client could end the machine by making the API thread free a
	 * lot. Fails only where malloc is not glibc's (AddressSanitizer).
	 */
	(void)mallopt(M_ARENA_MAX, 1);
	sigfillset(&sa.sa_mask);
	if (r == 0 && sigaction(SIGSYS, &sa, NULL) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "seccomp cannot be prepared: %s", strerror(-r));
	return 0;
}

void filter_set_report_fd(int fd)
{
	__atomic_store_n(&report_fd, fd, __ATOMIC_RELAXED);
}

static const char *remedy(int r)
{
	switch (r) {
	case -ENOSYS:
	case -EINVAL:
		return "the host's kernel lacks CONFIG_SECCOMP_FILTER, or a filter around this "
		       "process forbids seccomp(2), or the program is not valid";
	case -EPERM:
	case -EACCES:
		return "a policy around this process forbids seccomp(2)";
	case -ENOMEM:
		return "the host is out of memory, or too many filters are stacked";
	default:
		return "unexpected";
	}
}

static int set_filter(const struct sock_fprog *prog)
{
	int r = FAULT(-EINVAL);

	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog) < 0)
		return -errno;
	return 0;
}

/* A copy in which comparisons with SELF_PID have this process's id; NULL: no memory. */
static struct sock_filter *personalise(const struct sock_fprog *prog)
{
	const uint32_t self = (uint32_t)getpid();
	struct sock_filter *own = malloc(prog->len * sizeof(*own));

	if (!own)
		return NULL;
	for (unsigned i = 0; i < prog->len; i++) {
		own[i] = prog->filter[i];
		if (own[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && own[i].k == FILTER_SELF_PID)
			own[i].k = self;
	}
	return own;
}

static int install(const struct sock_fprog *prog, enum thread_kind kind, struct err *e)
{
	autofree struct sock_filter *own = personalise(prog);
	const struct sock_fprog ours = { .len = prog->len, .filter = own };
	int r;

	prctl(PR_GET_NAME, label);
	r = own ? set_filter(&ours) : -ENOMEM;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "seccomp filter `%s' cannot be installed: %s: %s; --no-seccomp "
			       "starts without protection",
			       kind_names[kind], strerror(-r), remedy(r));
	return 0;
}

/* The kernel copies the program and takes its pointer without const. */
#define PROG(array)                                                     \
	((struct sock_fprog){ .len = (unsigned short)ARRAY_SIZE(array), \
			      .filter = (struct sock_filter *)(uintptr_t)(array) })

int filter_install(enum thread_kind kind, struct err *e)
{
	const struct sock_fprog progs[] = {
		[THREAD_VMM] = PROG(filter_vmm),
		[THREAD_API] = PROG(filter_api),
		[THREAD_VCPU] = PROG(filter_vcpu),
	};

	return install(&progs[kind], kind, e);
}

int filter_install_from(const struct filters *f, enum thread_kind kind, struct err *e)
{
	struct sock_fprog prog = filters_program(f, kind);

	return install(&prog, kind, e);
}
