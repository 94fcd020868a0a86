/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe-kvm [DEVICE] - can this /dev/kvm run an ordinary kernel?
 *
 * Runs a guest of a few instructions in 64-bit ring 0: a loop, iretq,
 * cmpxchg16b and int3. A KVM that hands kernel-mode code to an instruction
 * emulator takes hundreds of times longer for the loop than this program does,
 * and knows not all of the others.
 *
 * Prints one line: a verdict, then what it rests on. The verdicts, with the
 * exit statuses: native 0, interpreted 1, absent 2. Ends within LIMIT_S seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NATIVE, INTERPRETED, ABSENT };
static const char *const verdicts[] = { "native", "interpreted", "absent" };

#define LIMIT_S 20 /* until the parent gives up on the child; on a busy machine all takes long */
#define LOOPS	200000
#define SLOW	30 /* so many times slower than here is "interpreted" */

/* Guest physical layout; the first GiB is mapped to itself by 2 MiB pages. */
#define MEM_SIZE 0x600000
#define GDT	 0x1000
#define IDT	 0x2000
#define PML4	 0x3000
#define PDPT	 0x4000
#define PD	 0x5000
#define CODE	 0x200000
#define STACK	 0x400000
#define DATA	 0x500000

/* Each step tells its number through port 0x80 once done. */
static const char *const steps[] = { "start", "loop", "iretq", "cmpxchg16b", "int3" };
#define NSTEPS	(sizeof(steps) / sizeof(*steps))
#define STR_(x) #x
#define STR(x)	STR_(x)
extern const char guest_code[], guest_int3[], guest_end[];
__asm__(".pushsection .rodata\n"
	"guest_code:\n"
	"	mov $0, %al\n	out %al, $0x80\n"
	"	mov $" STR(LOOPS) ", %rcx\n"
				  "1:	dec %rcx\n	jnz 1b\n"
				  "	mov $1, %al\n	out %al, $0x80\n"
				  "	mov %rsp, %rdx\n"
				  "	mov %ss, %eax\n	push %rax\n	push %rdx\n	pushfq\n"
				  "	mov %cs, %eax\n	push %rax\n"
				  "	lea 2f(%rip), %rax\n	push %rax\n	iretq\n"
				  "2:	mov $2, %al\n	out %al, $0x80\n"
				  "	mov $" STR(DATA) ", %rsi\n	lock cmpxchg16b (%rsi)\n"
							 "	mov $3, %al\n	out %al, $0x80\n"
							 "	int3\n"
							 "	mov $4, %al\n	out %al, $0x80\n"
							 "3:	hlt\n	jmp 3b\n"
							 "guest_int3:\n	iretq\n"
							 "guest_end:\n"
							 ".popsection\n");

static struct kvm_run *run;

/* KVM_RUN returns with EINTR, also if the signal came just before it. */
static void on_alarm(int sig)
{
	(void)sig;
	if (run)
		run->immediate_exit = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The guest's loop, run here: the better of two goes. */
static double own_loop(void)
{
	double best = 1e9;

	for (int i = 0; i < 2; i++) {
		uint64_t n = LOOPS;
		double start = now();

		__asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n));
		if (now() - start < best)
			best = now() - start;
	}
	return best;
}

static int __attribute__((format(printf, 2, 3))) verdict(int v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("%s: ", verdicts[v]);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return v;
}

static void fill_memory(uint8_t *mem)
{
	uint64_t *gdt = (void *)(mem + GDT), *idt = (void *)(mem + IDT), *pd = (void *)(mem + PD);
	uint64_t handler = CODE + (uint64_t)(guest_int3 - guest_code);

	gdt[1] = 0x00af9b000000ffff; /* 8: 64-bit code */
	gdt[2] = 0x00cf93000000ffff; /* 16: data */
	idt[6] = (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48;
	*(uint64_t *)(mem + PML4) = PDPT | 3;
	*(uint64_t *)(mem + PDPT) = PD | 3;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | 0x83;
	memcpy(mem + CODE, guest_code, (size_t)(guest_end - guest_code));
}

/* A virtual machine with the memory above and one vCPU; "" or what failed. */
static const char *make_machine(int kvm, int *ret_vcpu)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	uint8_t *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	struct kvm_userspace_memory_region slot = { .memory_size = MEM_SIZE };

	if (vm < 0 || size < 0)
		return "KVM_CREATE_VM";
	if (mem == MAP_FAILED)
		return "mmap of the memory";
	fill_memory(mem);
	/* Where Intel without "unrestricted guest" keeps its task state. */
	ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	slot.userspace_addr = (uintptr_t)mem;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return "KVM_SET_USER_MEMORY_REGION";
	*ret_vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (*ret_vcpu < 0)
		return "KVM_CREATE_VCPU";
	void *shared = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_vcpu, 0);
	if (shared == MAP_FAILED)
		return "mmap of the vCPU";
	run = shared;
	return "";
}

/* Long mode is refused to a vCPU whose CPUID lacks it. */
static int set_cpuid(int kvm, int vcpu)
{
	static union {
		struct kvm_cpuid2 head;
		char room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} cpuid = { .head.nent = 256 };

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static int set_registers(int vcpu)
{
	struct kvm_regs r = { .rip = CODE, .rsp = STACK, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -1;
	s.cs = (struct kvm_segment){
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	s.ss = (struct kvm_segment){
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	s.ds = s.es = s.fs = s.gs = s.ss;
	s.gdt.base = GDT;
	s.gdt.limit = 3 * 8 - 1;
	s.idt.base = IDT;
	s.idt.limit = 4 * 16 - 1;
	s.cr3 = PML4;
	s.cr4 = 0x20;	    /* PAE */
	s.cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
	s.efer = 0x500;	    /* LMA LME */
	return ioctl(vcpu, KVM_SET_SREGS, &s) < 0 ? -1 : ioctl(vcpu, KVM_SET_REGS, &r);
}

static int run_steps(int vcpu)
{
	double own = own_loop(), start = 0, ratio = 0;

	for (size_t step = 0; step < NSTEPS; step++) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0)
			return verdict(INTERPRETED, "no %s: KVM_RUN: %s", steps[step],
				       strerror(errno));
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x80)
			return verdict(INTERPRETED, "no %s: exit reason %u", steps[step],
				       run->exit_reason);
		if (step == 0)
			start = now();
		if (step == 1)
			ratio = (now() - start) / own;
	}
	return verdict(ratio > SLOW ? INTERPRETED : NATIVE,
		       "all steps done, the loop took %.1f times as long as here", ratio);
}

static int probe(const char *device)
{
	int kvm = open(device, O_RDWR | O_CLOEXEC), vcpu = -1;

	if (kvm < 0)
		return verdict(ABSENT, "open %s: %s", device, strerror(errno));
	int api = ioctl(kvm, KVM_GET_API_VERSION, 0);
	if (api != KVM_API_VERSION)
		return verdict(ABSENT, "%s: API version %d", device, api);
	const char *failed = make_machine(kvm, &vcpu);
	if (*failed)
		return verdict(ABSENT, "%s: %s", failed, strerror(errno));
	if (set_cpuid(kvm, vcpu) < 0)
		return verdict(ABSENT, "CPUID: %s", strerror(errno));
	if (set_registers(vcpu) < 0)
		return verdict(INTERPRETED, "64-bit mode refused: %s", strerror(errno));
	return run_steps(vcpu);
}

static void __attribute__((noreturn)) child_main(const char *device)
{
	/* Again and again: the first may come before there is a vCPU. */
	struct itimerval t = { { 0, 100000 }, { LIMIT_S - 2, 0 } };
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	_exit(probe(device));
}

int main(int argc, char **argv)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0) {
		perror("probe-kvm: fork");
		return 3;
	}
	if (child == 0)
		child_main(argc > 1 ? argv[1] : "/dev/kvm");
	/* Never a wait that blocks: a child stuck in the kernel cannot be killed. */
	for (int i = 0; i < LIMIT_S * 100; i++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			if (WIFEXITED(status))
				return WEXITSTATUS(status);
			return verdict(INTERPRETED, "the probe died of signal %d",
				       WTERMSIG(status));
		}
		usleep(10000);
	}
	kill(child, SIGKILL);
	return verdict(INTERPRETED, "no answer in %d s", LIMIT_S);
}
