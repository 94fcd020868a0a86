/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/probe.h"

#include <cpuid.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "base/clock.h"
#include "mem/backing.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/regs.h"

enum { MEM_SIZE = 2 << 20, LIMIT_MS = 10000, AGAIN_MS = 100, STEP_PORT = 0x80 };
#define LOOPS  50000
#define ROUNDS 4

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

/*
 * 64-bit kernel mode, as the machine starts a vCPU. After each step the guest writes
 * to STEP_PORT: at once, after each round of a loop, after a return from an interrupt,
 * and after an exchange of 16 bytes.
 */
/* clang-format off */
__asm__(".pushsection .rodata\n"
	"probe_code:\n"
	"	out	%al, $0x80\n"
	"	mov	$" TEXT_OF(ROUNDS) ", %ebx\n"
	"0:	mov	$" TEXT_OF(LOOPS) ", %ecx\n"
	"1:	dec	%ecx\n"
	"	jnz	1b\n"
	"	out	%al, $0x80\n"
	"	dec	%ebx\n"
	"	jnz	0b\n"
	"	mov	%rsp, %rdx\n"
	"	mov	%ss, %eax\n"
	"	push	%rax\n"
	"	push	%rdx\n"
	"	pushfq\n"
	"	mov	%cs, %eax\n"
	"	push	%rax\n"
	"	lea	2f(%rip), %rax\n"
	"	push	%rax\n"
	"	iretq\n"
	"2:	out	%al, $0x80\n"
	"	lea	-64(%rsp), %rsi\n"
	"	and	$-16, %rsi\n"
	"	lock cmpxchg16b (%rsi)\n"
	"	out	%al, $0x80\n"
	"probe_code_end:\n"
	".popsection\n");
/* clang-format on */
extern const uint8_t probe_code[], probe_code_end[];

static const char *const steps[] = { "a port write", "a loop in useful time", "iretq",
				     "cmpxchg16b" };
enum { STEP_LOOP = 1 };

struct guest { /* all owned */
	struct kvm kvm;
	struct vm vm;
	struct backing backing;
	struct gmem mem;
	int vcpu;
	struct kvm_run *run; /* NULL: not mapped */
};

static struct kvm_run *alarmed; /* what the handler below stops */

/* KVM_RUN returns with EINTR, also if the signal came just before it. */
static void on_alarm(int sig)
{
	(void)sig;
	__atomic_store_n(&alarmed->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static int start_alarm(struct guest *g)
{
	const struct itimerval limit = { .it_value.tv_sec = LIMIT_MS / 1000,
					 .it_interval.tv_usec = AGAIN_MS * 1000 };
	struct sigaction sa = { .sa_handler = on_alarm };

	alarmed = g->run;
	if (sigaction(SIGALRM, &sa, NULL) < 0 || setitimer(ITIMER_REAL, &limit, NULL) < 0)
		return -errno;
	return 0;
}

static void stop_alarm(void)
{
	const struct itimerval off = { 0 };

	(void)setitimer(ITIMER_REAL, &off, NULL);
}

static int build_memory(struct guest *g, const struct kernel_image *kernel, struct err *e)
{
	int r = backing_create(MEM_SIZE, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &g->backing, e);

	if (r < 0)
		return r;
	r = gmem_add(&g->mem, 0, MEM_SIZE, g->backing.hva);
	if (r == 0)
		r = gmem_write(&g->mem, kernel->entry, probe_code,
			       (size_t)(probe_code_end - probe_code));
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "guest memory: %s", strerror(-r));
	r = vm_add_memory(&g->vm, 0, MEM_SIZE, g->backing.hva, false, e);
	return r < 0 ? r : regs_write_tables(&g->mem, kernel->protocol, e);
}

static int build_vcpu(struct guest *g, const struct kernel_image *kernel, struct err *e)
{
	autofree struct kvm_cpuid2 *cpuid = NULL;
	struct regs_cfg regs = { .kernel = kernel };
	void *run;
	int r = kvm_supported_cpuid(&g->kvm, &cpuid, e);

	if (r < 0)
		return r;
	regs.cpuid = cpuid;
	g->vcpu = ioctl(g->vm.fd, KVM_CREATE_VCPU, 0);
	if (g->vcpu < 0)
		return err_set(e, ERR_INTERNAL, -errno, "KVM_CREATE_VCPU: %s", strerror(errno));
	run = mmap(NULL, g->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (run == MAP_FAILED)
		return err_set(e, ERR_INTERNAL, -errno, "mmap of a vCPU: %s", strerror(errno));
	g->run = run;
	return regs_set_up(g->vcpu, &regs, e);
}

static int build(struct guest *g, struct err *e)
{
	const struct kernel_image kernel = { .protocol = KERNEL_LINUX64, .entry = LAYOUT_HIMEM };
	int r = kvm_open(&g->kvm, e);

	if (r < 0)
		return r;
	r = vm_create(&g->kvm, &g->vm, e);
	if (r < 0)
		return r;
	r = build_memory(g, &kernel, e);
	if (r < 0)
		return r;
	return build_vcpu(g, &kernel, e);
}

static void take_down(struct guest *g)
{
	if (g->run)
		(void)munmap(g->run, g->kvm.run_size);
	fd_close_(&g->vcpu);
	vm_destroy(&g->vm);
	kvm_close(&g->kvm);
	backing_destroy(&g->backing);
}

static usec_t own_loop(void)
{
	usec_t start = clock_monotonic();
	uint32_t n = LOOPS;

	__asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n) : : "cc");
	return clock_monotonic() - start + 1;
}

/* Until the guest writes to its port. False: it came back for another reason. */
static bool run_to_port(struct guest *g)
{
	return ioctl(g->vcpu, KVM_RUN, 0) == 0 && g->run->exit_reason == KVM_EXIT_IO &&
	       g->run->io.port == STEP_PORT;
}

/* The best of some rounds: others may have had the processor in between. */
static bool run_loop(struct guest *g, struct probe_result *res)
{
	usec_t best = UINT64_MAX, own = UINT64_MAX;

	for (unsigned i = 0; i < ROUNDS; i++) {
		usec_t here = own_loop(), start = clock_monotonic(), there;

		if (!run_to_port(g))
			return false;
		there = clock_monotonic() - start;
		best = there < best ? there : best;
		own = here < own ? here : own;
	}
	res->slowdown = (unsigned)(best / own);
	return true;
}

static void run_steps(struct guest *g, struct probe_result *res)
{
	for (unsigned step = 0; step < ARRAY_SIZE(steps); step++) {
		if (step == STEP_LOOP ? !run_loop(g, res) : !run_to_port(g)) {
			res->cannot = steps[step];
			return;
		}
	}
}

static bool is_nested(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31); /* "hypervisor present" */
}

bool probe_has_virtualisation(void)
{
	unsigned a, b, c = 0, d, extended = 0;

	(void)__get_cpuid(1, &a, &b, &c, &d);
	(void)__get_cpuid(0x80000001, &a, &b, &extended, &d);
	return (c >> 5 & 1) || (extended >> 2 & 1); /* VMX, SVM */
}

int probe_kvm(struct probe_result *ret_result, struct err *e)
{
	struct guest g = { .kvm.fd = -1, .vm.fd = -1, .vcpu = -1 };
	struct probe_result res = { .nested = is_nested() };
	int r = build(&g, e);

	if (r == 0) {
		r = start_alarm(&g);
		if (r < 0)
			r = err_set(e, ERR_INTERNAL, r, "interval timer: %s", strerror(-r));
	}
	if (r == 0) {
		run_steps(&g, &res);
		stop_alarm();
		*ret_result = res;
	}
	take_down(&g);
	return r;
}
