/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU and its machine to records and back, on a real /dev/kvm, any that makes machines. */
#include "vmm/x86/vcpu_state.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/fault.h"
#include "base/log.h"
#include "conf/expect.h"
#include "vmm/vm.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/msr_state.h"
#include "vmm/x86/vm_state.h"

enum { IA32_TSC = 0x10, IA32_TSC_DEADLINE = 0x6e0, KERNEL_GS_BASE = 0xc0000102, ENTRY = 12 };

static const char *const names[] = { VCPU_STATE_RECORDS, VM_STATE_RECORDS };
static struct kvm kvm;
static struct vcpu_host host;
static struct err err;

/* What a test has made; its process ends with it. */
static struct {
	struct snap_out out;
	struct snap_in in;
} made[8];
static unsigned nmade;

struct guest {
	struct vm vm;
	int vcpu;
};

static struct guest new_guest(void)
{
	struct guest g;

	CHECK_EQ(vm_create(&kvm, &g.vm, &err), 0);
	g.vcpu = ioctl(g.vm.fd, KVM_CREATE_VCPU, 0);
	CHECK(g.vcpu >= 0);
	return g;
}

/* With the host's CPUID, and something in its registers. */
static struct guest begin(void)
{
	struct kvm_cpuid2 *cpuid = NULL;
	struct kvm_regs regs = { .rax = 1, .rip = 0x1000, .rflags = 2, .r15 = 15 };
	struct kvm_mp_state halted = { KVM_MP_STATE_HALTED };
	struct guest g;

	log_init("test");
	if (kvm_open(&kvm, &err) < 0)
		SKIP(err.msg);
	g = new_guest();
	CHECK_EQ(kvm_supported_cpuid(&kvm, &cpuid, &err), 0);
	CHECK_EQ(ioctl(g.vcpu, KVM_SET_CPUID2, cpuid), 0);
	CHECK_EQ(ioctl(g.vcpu, KVM_SET_REGS, &regs), 0);
	CHECK_EQ(ioctl(g.vcpu, KVM_SET_MP_STATE, &halted), 0);
	vcpu_host_fini(&host);
	CHECK_EQ(vcpu_host_init(&kvm, g.vm.fd, &host, &err), 0);
	free(cpuid);
	return g;
}

static struct snap_out save(const struct guest *g)
{
	struct snap_out o;

	CHECK_EQ(snap_out_init(&o, &err), 0);
	CHECK_EQ(vcpu_state_save(&host, g->vcpu, 0, &o, &err), 0);
	CHECK_EQ(vm_state_save(g->vm.fd, &o, &err), 0);
	CHECK_EQ(snap_out_finish(&o, &err), 0);
	CHECK(nmade < ARRAY_SIZE(made));
	made[nmade].out = o;
	return o;
}

static struct snap_in open_state(const struct snap_out *o)
{
	struct snap_in in;

	CHECK_EQ(snap_in_open(o->out.buf, o->out.len, names, ARRAY_SIZE(names), &in, &err), 0);
	made[nmade++].in = in;
	return in;
}

/* The value of a register in a record of MSRs. */
static uint8_t *msr_in(const struct snap_in *in, uint32_t index)
{
	for (uint32_t r = 0; r < in->nrecords; r++)
		for (uint32_t at = 0;
		     strcmp(in->record[r].name, "vcpu-msrs") == 0 && at < in->record[r].len;
		     at += ENTRY) {
			const uint8_t *entry = in->record[r].data + at;
			uint32_t is;

			memcpy(&is, entry, sizeof(is));
			if (is == index)
				return (uint8_t *)(uintptr_t)entry + 4;
		}
	return NULL;
}

static uint64_t msr_of(const struct guest *g, uint32_t index)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = { .head.nmsrs = 1 };

	one.head.entries[0].index = index;
	CHECK_EQ(ioctl(g->vcpu, KVM_GET_MSRS, &one), 1);
	return one.head.entries[0].data;
}

static void set_msr(uint8_t *value, uint64_t v)
{
	memcpy(value, &v, sizeof(v));
}

/* Time goes on in a record of MSRs; all else is the same. */
static void same(const struct snap_in *a, const struct snap_in *b)
{
	CHECK_EQ(a->nrecords, b->nrecords);
	set_msr(msr_in(a, IA32_TSC), 0);
	set_msr(msr_in(b, IA32_TSC), 0);
	for (uint32_t i = 0; i < a->nrecords; i++) {
		const struct snap_record *x = &a->record[i], *y = &b->record[i];

		if (strcmp(x->name, "clock") == 0 || strcmp(x->name, "pit") == 0)
			continue;
		if (x->len != y->len || memcmp(x->data, y->data, x->len) != 0)
			FAIL(x->name);
	}
}

TEST(what_is_loaded_is_what_was_saved)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out first = save(&a), second;
	struct snap_in in = open_state(&first), again;
	struct kvm_regs regs;

	/* Not armed: a load makes it fire once, which is not to be seen here. */
	set_msr(msr_in(&in, IA32_TSC_DEADLINE), 0);
	CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), 0);
	CHECK_EQ(vm_state_load(b.vm.fd, false, &in, &err), 0);
	CHECK_EQ(snap_in_end(&in, &err), 0);
	CHECK_EQ(ioctl(b.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK(regs.rax == 1 && regs.rip == 0x1000 && regs.r15 == 15);
	second = save(&b);
	again = open_state(&second);
	same(&in, &again);
}

/* A host that loads it has CPUID before all else, and the deadline behind the TSC. */
TEST(which_registers_and_in_which_order)
{
	static const uint32_t wanted[] = { 0x4b564d00, 0x4b564d01, 0x11,  0x12, IA32_TSC,
					   0x174,      0xc0000082, 0x277, 0x2ff };

	(void)begin();
	CHECK_EQ(host.msrs->indices[host.msrs->nmsrs - 1], IA32_TSC_DEADLINE);
	for (uint32_t k = 0; k < host.msrs->nmsrs; k++)
		CHECK(host.msrs->indices[k] < 0x40000000 || host.msrs->indices[k] > 0x400001ff);
	for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
		unsigned found = 0;

		for (uint32_t k = 0; k < host.msrs->nmsrs; k++)
			found += host.msrs->indices[k] == wanted[i];
		if (found != 1)
			fprintf(stderr, "# MSR %#x\n", wanted[i]);
		CHECK_EQ(found, 1);
	}
}

TEST(a_register_of_the_guest)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);

	set_msr(msr_in(&in, KERNEL_GS_BASE), 0x1234);
	CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), 0);
	CHECK_EQ(msr_of(&b, KERNEL_GS_BASE), 0x1234);
}

TEST(a_register_that_is_none)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	uint32_t none = 0xc001ffff;

	memcpy(msr_in(&in, KERNEL_GS_BASE) - 4, &none, sizeof(none));
	CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), -EINVAL);
	expect_msg("MSR", err.msg,
		   "vCPU 0: KVM_SET_MSRS: this host refuses MSR 0xc001ffff the value 0");
}

/* A rate that no processor can make of its own. */
TEST(a_tsc_that_cannot_be)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct state_in s;

	CHECK_EQ(snap_take(&in, "vcpu-tsc", 0, &s, &err), 0);
	for (uint32_t khz = 0; khz < 2; khz++) {
		char msg[64];

		memcpy((uint8_t *)(uintptr_t)s.buf, &khz, sizeof(khz));
		CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), -EINVAL);
		snprintf(msg, sizeof(msg),
			 "vCPU 0: the snapshot's TSC runs at %u kHz and this host's at *", khz);
		expect_msg("rate", err.msg, msg);
	}
}

/* The guest's clock after a load, in nanoseconds; the record says `then' of the host's. */
static uint64_t clock_after(uint64_t then, bool realtime)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct kvm_clock_data clock = { 0 };
	struct state_in s;

	CHECK_EQ(snap_take(&in, "clock", 0, &s, &err), 0);
	set_msr((uint8_t *)(uintptr_t)s.buf, 1000);
	set_msr((uint8_t *)(uintptr_t)s.buf + 8, then);
	CHECK_EQ(vm_state_load(b.vm.fd, realtime, &in, &err), 0);
	CHECK_EQ(ioctl(b.vm.fd, KVM_GET_CLOCK, &clock), 0);
	return clock.clock;
}

TEST(the_clock_goes_on)
{
	const uint64_t second = 1000000000, hour = 3600 * second;
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = (uint64_t)t.tv_sec * second;
	CHECK(clock_after(now - hour, false) < 60 * second);
	CHECK(clock_after(now - hour, true) >= hour);
	CHECK(clock_after(now - hour, true) < hour + 60 * second);
	/* The host's clock has been put back since: no time has passed. */
	CHECK(clock_after(now + hour, true) < 60 * second);
}

TEST(a_time_that_is_none)
{
	struct guest a = begin();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct state_in s;

	CHECK_EQ(snap_take(&in, "clock", 0, &s, &err), 0);
	set_msr((uint8_t *)(uintptr_t)s.buf, UINT64_MAX);
	set_msr((uint8_t *)(uintptr_t)s.buf + 8, 1);
	CHECK_EQ(vm_state_load(a.vm.fd, true, &in, &err), -ERANGE);
	CHECK(strstr(err.msg, "record `clock' 0: no time to go on from"));
}
