/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a restore: the system calls that no monitor can do without, and nothing
 * else. Makes a VM of one vCPU over a memory file, its interrupts and kicks, and gives
 * KVM the state back that it has just said.
 *
 *   snapshot_floor MEMORY_FILE STATE_FILE RUNS     prints microseconds, a line a run
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { QUEUES = 2, LINES = 6, MSRS = 256, CPUIDS = 256, HOLE = 3 };

static void *no_argument;

static long must(long r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
	return r;
}
#define IOCTL(fd, request, arg) must(ioctl((fd), (request), (arg)), #request)

static struct kvm_cpuid2 *cpuid;
static struct kvm_msr_list *list;
static struct kvm_msrs *msrs;
static char xsave[1 << 16];

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void set_vcpu(int v)
{
	union {
		struct kvm_mp_state mp;
		struct kvm_regs regs;
		struct kvm_sregs2 sregs;
		struct kvm_debugregs debug;
		struct kvm_xcrs xcrs;
		struct kvm_lapic_state lapic;
		struct kvm_vcpu_events events;
	} s;

	memset(&s, 0, sizeof(s));
	IOCTL(v, KVM_SET_CPUID2, cpuid);
#define AGAIN(what)                           \
	do {                                  \
		IOCTL(v, KVM_GET_##what, &s); \
		IOCTL(v, KVM_SET_##what, &s); \
	} while (0)
	AGAIN(MP_STATE);
	AGAIN(REGS);
	AGAIN(SREGS2);
	AGAIN(DEBUGREGS);
	AGAIN(XCRS);
	AGAIN(LAPIC);
	AGAIN(VCPU_EVENTS);
	IOCTL(v, KVM_GET_XSAVE, xsave);
	IOCTL(v, KVM_SET_XSAVE, xsave);
	msrs->nmsrs = 0;
	for (unsigned i = 0; i < list->nmsrs && i < MSRS; i++)
		msrs->entries[msrs->nmsrs++].index = list->indices[i];
	msrs->nmsrs = (uint32_t)IOCTL(v, KVM_GET_MSRS, msrs);
	(void)IOCTL(v, KVM_SET_MSRS, msrs);
}

static void set_vm(int vm)
{
	static struct kvm_irqchip chip;
	static struct kvm_pit_state2 pit;
	struct kvm_clock_data clock = { 0 };

	for (chip.chip_id = 0; chip.chip_id < 3; chip.chip_id++) {
		IOCTL(vm, KVM_GET_IRQCHIP, &chip);
		IOCTL(vm, KVM_SET_IRQCHIP, &chip);
	}
	IOCTL(vm, KVM_GET_PIT2, &pit);
	IOCTL(vm, KVM_SET_PIT2, &pit);
	IOCTL(vm, KVM_GET_CLOCK, &clock);
	clock.flags = 0;
	IOCTL(vm, KVM_SET_CLOCK, &clock);
}

static void add_events(int vm)
{
	for (unsigned i = 0; i < LINES; i++) {
		struct kvm_irqfd irq = { .fd = (uint32_t)must(eventfd(0, EFD_CLOEXEC), "eventfd"),
					 .gsi = 4 + i };

		IOCTL(vm, KVM_IRQFD, &irq);
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		struct kvm_ioeventfd io = { .fd = (int)must(eventfd(0, EFD_CLOEXEC), "eventfd"),
					    .addr = 0xc0001050 + 0x1000 * i,
					    .len = 4,
					    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };

		IOCTL(vm, KVM_IOEVENTFD, &io);
	}
}

static void add_memory(int vm, int fd, uint64_t size)
{
	const uint64_t low = (uint64_t)HOLE << 30;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	struct kvm_userspace_memory_region r = { .memory_size = size < low ? size : low,
						 .userspace_addr = (uintptr_t)p };

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	IOCTL(vm, KVM_SET_USER_MEMORY_REGION, &r);
	if (size <= low)
		return;
	r = (struct kvm_userspace_memory_region){ .slot = 1,
						  .guest_phys_addr = UINT64_C(4) << 30,
						  .memory_size = size - low,
						  .userspace_addr = (uintptr_t)p + low };
	IOCTL(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static void restore(const char *memory, const char *state)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	static char text[1 << 20];
	struct stat st;
	int kvm = (int)must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int file = (int)must(open(state, O_RDONLY | O_CLOEXEC), state);
	int mem = (int)must(open(memory, O_RDONLY | O_CLOEXEC), memory);
	int vm, v;

	must(read(file, text, sizeof(text)), state);
	must(fstat(mem, &st), memory);
	vm = (int)IOCTL(kvm, KVM_CREATE_VM, no_argument);
	IOCTL(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000UL);
	IOCTL(vm, KVM_CREATE_IRQCHIP, no_argument);
	IOCTL(vm, KVM_CREATE_PIT2, &pit);
	add_memory(vm, mem, (uint64_t)st.st_size);
	add_events(vm);
	v = (int)IOCTL(vm, KVM_CREATE_VCPU, no_argument);
	must(mmap(NULL, (size_t)IOCTL(kvm, KVM_GET_VCPU_MMAP_SIZE, no_argument),
		  PROT_READ | PROT_WRITE, MAP_SHARED, v, 0) == MAP_FAILED
		     ? -1
		     : 0,
	     "mmap");
	set_vcpu(v);
	set_vm(vm);
}

/* What a state file would say. */
static void prepare(void)
{
	int kvm = (int)must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");

	cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(cpuid->entries[0]));
	list = calloc(1, sizeof(*list) + 2048 * sizeof(list->indices[0]));
	msrs = calloc(1, sizeof(*msrs) + MSRS * sizeof(msrs->entries[0]));
	if (!cpuid || !list || !msrs)
		exit(1);
	cpuid->nent = CPUIDS;
	IOCTL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	list->nmsrs = 2048;
	IOCTL(kvm, KVM_GET_MSR_INDEX_LIST, list);
	close(kvm);
}

int main(int argc, char **argv)
{
	double begun;

	if (argc != 4)
		return 1;
	prepare();
	for (int n = atoi(argv[3]); n > 0; n--) {
		/* Each in a process of its own: the kernel takes it down outside the figure. */
		if (fork() == 0) {
			begun = now_us();
			restore(argv[1], argv[2]);
			printf("%.1f\n", now_us() - begun);
			fflush(stdout);
			_exit(0);
		}
		(void)must(waitpid(-1, NULL, 0), "waitpid");
	}
	return 0;
}
