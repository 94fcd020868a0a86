/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/record.h"

#if defined(WISP_FAULTS) && defined(__x86_64__)

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/text.h"
#include "jail/filter.h"
#include "jail/filter_file.h"

struct rule { /* as wisp-seccomp --rules writes them */
	int nr;
	struct {
		uint64_t mask, value;
	} cmp[6];
};

#include "seccomp_rules_api.h"
#include "seccomp_rules_vcpu.h"
#include "seccomp_rules_vmm.h"

static const struct {
	const struct rule *rules;
	unsigned n;
} policies[] = {
	[THREAD_VMM] = { rules_vmm, ARRAY_SIZE(rules_vmm) },
	[THREAD_API] = { rules_api, ARRAY_SIZE(rules_api) },
	[THREAD_VCPU] = { rules_vcpu, ARRAY_SIZE(rules_vcpu) },
};
static_assert(ARRAY_SIZE(rules_vmm) <= RECORD_RULES_MAX, "the file has that many");
static_assert(ARRAY_SIZE(rules_api) <= RECORD_RULES_MAX, "the file has that many");
static_assert(ARRAY_SIZE(rules_vcpu) <= RECORD_RULES_MAX, "the file has that many");

static uint32_t (*counts)[RECORD_RULES_MAX]; /* (A) of each kind; mapped */
static _Thread_local enum thread_kind kind;
static uint64_t self; /* this process's id; the handler may not ask */

/* The one place whose calls pass: record_call(nr, args[6]), back behind the instruction. */
long record_call(long nr, const uint64_t args[6]);
extern const char record_passes[];
__asm__(".text\n"
	".globl record_call, record_passes\n"
	"record_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %r11\n"
	"	mov 0(%r11), %rdi\n"
	"	mov 8(%r11), %rsi\n"
	"	mov 16(%r11), %rdx\n"
	"	mov 24(%r11), %r10\n"
	"	mov 32(%r11), %r8\n"
	"	mov 40(%r11), %r9\n"
	"	syscall\n"
	"record_passes:\n"
	"	ret\n");

static bool matches(const struct rule *r, long nr, const uint64_t args[6])
{
	if (r->nr != nr)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(r->cmp); i++) {
		uint64_t want = r->cmp[i].value == FILTER_SELF_PID ? self : r->cmp[i].value;

		if ((args[i] & r->cmp[i].mask) != want && r->cmp[i].mask != 0)
			return false;
	}
	return true;
}

static void refuse(long nr)
{
	char buf[96];
	struct text t = TEXT_ON(buf);
	uint64_t line[6] = { STDERR_FILENO };
	uint64_t status[6] = { FILTER_EXIT };

	text_str(&t, "recorded: call ");
	text_u64(&t, (uint64_t)nr);
	text_str(&t, " is in no line of the policy of kind ");
	text_u64(&t, kind);
	text_str(&t, " exit_reason=bad-syscall\n");
	line[1] = (uint64_t)(uintptr_t)t.buf;
	line[2] = t.len;
	(void)record_call(SYS_write, line);
	(void)record_call(SYS_exit_group, status);
}

/* rt_sigprocmask(2) for the context that the handler returns to. */
static long change_mask(ucontext_t *uc, const uint64_t args[6])
{
	uint64_t *mask = (uint64_t *)&uc->uc_sigmask;
	const uint64_t *set = (const uint64_t *)(uintptr_t)args[1];
	uint64_t *old = (uint64_t *)(uintptr_t)args[2];
	const uint64_t was = *mask;

	if (set && args[0] == SIG_BLOCK)
		*mask |= *set;
	else if (set && args[0] == SIG_UNBLOCK)
		*mask &= ~*set;
	else if (set)
		*mask = *set;
	*mask &= ~(UINT64_C(1) << (SIGSYS - 1));
	if (old)
		*old = was;
	return 0;
}

static void on_call(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	const long nr = info->si_syscall;
	const uint64_t args[6] = { (uint64_t)regs[REG_RDI], (uint64_t)regs[REG_RSI],
				   (uint64_t)regs[REG_RDX], (uint64_t)regs[REG_R10],
				   (uint64_t)regs[REG_R8],  (uint64_t)regs[REG_R9] };
	bool allowed = false;

	(void)sig;
	for (unsigned i = 0; i < policies[kind].n; i++) {
		if (!matches(&policies[kind].rules[i], nr, args))
			continue;
		__atomic_fetch_add(&counts[kind][i], 1, __ATOMIC_RELAXED);
		allowed = true;
	}
	if (!allowed)
		refuse(nr);
	regs[REG_RAX] = nr == SYS_rt_sigprocmask ? change_mask(uc, args) : record_call(nr, args);
}

/* A handler that blocked SIGSYS could make no call at all. */
static int open_handlers(void)
{
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction sa;

		if (sig == SIGSYS || sigaction(sig, NULL, &sa) < 0 ||
		    !sigismember(&sa.sa_mask, SIGSYS))
			continue;
		sigdelset(&sa.sa_mask, SIGSYS);
		if (sigaction(sig, &sa, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int set_trap(void)
{
	const uint64_t at = (uint64_t)(uintptr_t)record_passes;
	const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)at, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(at >> 32), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	const struct sock_fprog prog = { .len = ARRAY_SIZE(insns),
					 .filter = (struct sock_filter *)(uintptr_t)insns };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return -errno;
	return 0;
}

static int enter(const struct isolation *iso, enum thread_kind which, struct err *e)
{
	struct sigaction sa = { .sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER };
	int r = sigaction(SIGSYS, &sa, NULL) < 0 ? -errno : open_handlers();

	(void)iso;
	kind = which;
	self = (uint64_t)getpid();
	if (r == 0)
		r = set_trap();
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "--seccomp-record: %s", strerror(-r)) : 0;
}

int record_prepare(const char *path, const struct isolation **ret, struct err *e)
{
	static const struct isolation iso = { .enter = enter };
	const size_t size = ARRAY_SIZE(policies) * sizeof(*counts);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	void *at;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_set(e, ERR_INVALID, -errno, "--seccomp-record: `%s': %s", path,
			       strerror(errno));
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return err_set(e, ERR_INTERNAL, -errno, "--seccomp-record: `%s': %s", path,
			       strerror(errno));
	counts = at;
	*ret = &iso;
	return 0;
}

#else

int record_prepare(const char *path, const struct isolation **ret, struct err *e)
{
	(void)ret;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "--seccomp-record: `%s': this build does not record", path);
}

#endif
