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
#include "vmm/x86/time_state.h"
#include "vmm/x86/vm_state.h"

enum { IA32_TSC = 0x10, IA32_TSC_DEADLINE = 0x6e0, KERNEL_GS_BASE = 0xc0000102, ENTRY = 12 };

static const char *const names[] = { VCPU_STATE_RECORDS, VM_STATE_RECORDS, TIME_STATE_RECORDS };
static struct kvm kvm;
static struct vcpu_host host;
static struct err err;

/* What a test has made; its process ends with it. */
static struct {
	struct snap_out out;
	struct snap_in in;
} made[16];
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

static struct time_vcpus clocks(const struct guest *g)
{
	return (struct time_vcpus){ .fds = &g->vcpu, .n = 1 };
}

static struct snap_out save(const struct guest *g)
{
	struct snap_out o;

	CHECK_EQ(snap_out_init(&o, &err), 0);
	CHECK_EQ(time_state_save(g->vm.fd, clocks(g), &o, &err), 0);
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

/* Time goes on; all else is the same. */
static void same(const struct snap_in *a, const struct snap_in *b)
{
	CHECK_EQ(a->nrecords, b->nrecords);
	for (uint32_t i = 0; i < a->nrecords; i++) {
		const struct snap_record *x = &a->record[i], *y = &b->record[i];

		if (strcmp(x->name, "clock") == 0 || strcmp(x->name, "pit") == 0 ||
		    strcmp(x->name, "vcpu-tsc") == 0)
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
	CHECK_EQ(time_state_load(b.vm.fd, clocks(&b), false, &in, &err), 0);
	CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), 0);
	CHECK_EQ(vm_state_load(b.vm.fd, &in, &err), 0);
	CHECK_EQ(snap_in_end(&in, &err), 0);
	CHECK_EQ(ioctl(b.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK(regs.rax == 1 && regs.rip == 0x1000 && regs.r15 == 15);
	second = save(&b);
	again = open_state(&second);
	same(&in, &again);
}

/* The deadline is behind all else, and the TSC is not among them. */
TEST(which_registers_and_in_which_order)
{
	static const uint32_t wanted[] = { 0x4b564d00, 0x4b564d01, 0x11,  0x12,
					   0x174,      0xc0000082, 0x277, 0x2ff };

	(void)begin();
	CHECK_EQ(host.msrs->indices[host.msrs->nmsrs - 1], IA32_TSC_DEADLINE);
	for (uint32_t k = 0; k < host.msrs->nmsrs; k++)
		CHECK(host.msrs->indices[k] != IA32_TSC &&
		      (host.msrs->indices[k] < 0x40000000 || host.msrs->indices[k] > 0x400001ff));
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

TEST(a_rate_that_no_processor_has)
{
	static const uint32_t khz[] = { 0, 1, 9999, 100000001, UINT32_MAX };
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct state_in s;

	CHECK_EQ(snap_take(&in, "vcpu-tsc", 0, &s, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		char msg[80];

		memcpy((uint8_t *)(uintptr_t)s.buf, &khz[i], sizeof(khz[i]));
		CHECK_EQ(time_state_load(b.vm.fd, clocks(&b), false, &in, &err), -EINVAL);
		snprintf(msg, sizeof(msg),
			 "vCPU 0: the snapshot's TSC runs at %u kHz, as no processor's does",
			 khz[i]);
		expect_msg("rate", err.msg, msg);
	}
}

/* KVM itself refuses only the lower one. */
TEST(a_rate_that_this_host_cannot_make)
{
	static const uint32_t khz[] = { 10000, 100000000 };
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct state_in s;

	if (ioctl(a.vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0)
		SKIP("this host scales TSCs");
	CHECK_EQ(snap_take(&in, "vcpu-tsc", 0, &s, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(khz); i++) {
		char msg[80];

		memcpy((uint8_t *)(uintptr_t)s.buf, &khz[i], sizeof(khz[i]));
		CHECK_EQ(time_state_load(b.vm.fd, clocks(&b), false, &in, &err), -EOPNOTSUPP);
		snprintf(msg, sizeof(msg),
			 "vCPU 0: the snapshot's TSC runs at %u kHz and this host's at *", khz[i]);
		expect_msg("rate", err.msg, msg);
	}
}

/* One that is a byte short, one that is too long, one that is not there. */
TEST(records_of_time_that_lie)
{
	static const struct {
		const char *record, *msg;
		int by;
	} rows[] = {
		{ "clock", "record `clock' 0 has a wrong length: 23 bytes", -1 },
		{ "clock", "record `clock' 0 has a wrong length: 25 bytes", 1 },
		{ "vcpu-tsc", "record `vcpu-tsc' 0 has a wrong length: 11 bytes", -1 },
		{ "vcpu-tsc", "record `vcpu-tsc' 0 has a wrong length: 13 bytes", 1 },
	};
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	const int two[] = { b.vcpu, b.vcpu };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct snap_record *r = in.record;

		while (strcmp(r->name, rows[i].record) != 0)
			r++;
		r->len = (uint32_t)((int)r->len + rows[i].by);
		CHECK_EQ(time_state_load(b.vm.fd, clocks(&b), false, &in, &err), -EINVAL);
		expect_msg(rows[i].record, err.msg, rows[i].msg);
		r->len = (uint32_t)((int)r->len - rows[i].by);
	}
	CHECK_EQ(time_state_load(b.vm.fd, (struct time_vcpus){ two, 2 }, false, &in, &err),
		 -ENOENT);
	expect_msg("two", err.msg, "vCPU 1: the snapshot has no record `vcpu-tsc' 1");
}

/* From a file that puts it there; it would undo the offset. */
TEST(a_tsc_among_the_registers)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	const uint32_t tsc = IA32_TSC;

	memcpy(msr_in(&in, KERNEL_GS_BASE) - 4, &tsc, sizeof(tsc));
	CHECK_EQ(vcpu_state_load(&host, b.vcpu, 0, &in, &err), -EINVAL);
	expect_msg("MSR", err.msg,
		   "vCPU 0: record `vcpu-msrs' holds MSR 0x10, which is not set by its value");
}

static uint64_t offset_of(int vcpu)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	CHECK_EQ(ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr), 0);
	return offset;
}

static void set_offset(int vcpu, uint64_t offset)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	CHECK_EQ(ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attr), 0);
}

/* A KVM that only interprets may show every guest the host's own TSC. */
static bool keeps_offsets(const struct guest *g)
{
	const uint64_t was = offset_of(g->vcpu);
	bool kept;

	set_offset(g->vcpu, was + 1);
	kept = offset_of(g->vcpu) == was + 1;
	set_offset(g->vcpu, was);
	return kept;
}

#define NO_OFFSETS "this KVM keeps no offset of a TSC"

enum { SECOND = 1000000000, MINUTE_S = 60, HOUR_S = 3600 };

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

/* The clocks in a machine after a load. */
struct reading {
	uint64_t kvmclock_s, tsc_s; /* since the moment of the snapshot */
	uint64_t apart_us;	    /* what the two differ by, beyond the time the reading took */
};

static struct reading read_clocks(const struct guest *g, uint64_t kvmclock, uint64_t tsc, int khz)
{
	struct kvm_clock_data clock = { 0 };
	uint64_t before = msr_of(g, IA32_TSC) - tsc, after, expected;

	CHECK_EQ(ioctl(g->vm.fd, KVM_GET_CLOCK, &clock), 0);
	after = msr_of(g, IA32_TSC) - tsc;
	expected =
		(uint64_t)((unsigned __int128)(clock.clock - kvmclock) * (unsigned)khz / 1000000);
	return (struct reading){
		.kvmclock_s = clock.clock / SECOND,
		.tsc_s = before / ((uint64_t)khz * 1000),
		.apart_us = (expected < before	? before - expected
			     : expected > after ? expected - after
						: 0) /
			    ((unsigned)khz / 1000),
	};
}

/* The record says that kvmclock stood at 1 us, the TSC at 7, and the host's clock at `then_s'. */
static struct reading clocks_after(uint64_t then_s, bool realtime)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o = save(&a);
	struct snap_in in = open_state(&o);
	struct state_in s;
	int khz = ioctl(a.vcpu, KVM_GET_TSC_KHZ, 0);

	CHECK(khz > 0);
	if (!keeps_offsets(&a))
		SKIP(NO_OFFSETS);
	CHECK_EQ(snap_take(&in, "clock", 0, &s, &err), 0);
	set_msr((uint8_t *)(uintptr_t)s.buf, 1000);
	set_msr((uint8_t *)(uintptr_t)s.buf + 8, then_s * SECOND);
	set_msr((uint8_t *)(uintptr_t)s.buf + 16, 7);
	CHECK_EQ(time_state_load(b.vm.fd, clocks(&b), realtime, &in, &err), 0);
	return read_clocks(&b, 1000, 7, khz);
}

/* Together: the closest of five readings is far better than this, a preemption far worse. */
static void are_at(struct reading is, uint64_t least_s)
{
	CHECK(is.apart_us < 1000);
	CHECK(is.kvmclock_s >= least_s && is.kvmclock_s < least_s + MINUTE_S);
	CHECK(is.tsc_s >= least_s && is.tsc_s < least_s + MINUTE_S);
}

/* Also in the first second of a machine, in which KVM keeps written values in step. */
TEST(the_clocks_go_on)
{
	are_at(clocks_after(now_s() - HOUR_S, false), 0);
	/* A whole second less, for the record has no parts of one. */
	are_at(clocks_after(now_s() - HOUR_S, true), HOUR_S - 1);
	/* The host's clock has been put back since: no time has passed. */
	are_at(clocks_after(now_s() + HOUR_S, true), 0);
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
	CHECK_EQ(time_state_load(a.vm.fd, clocks(&a), true, &in, &err), -ERANGE);
	CHECK(strstr(err.msg, "record `clock' 0: no time to go on from"));
}

/* Three processors, the third of which has set its TSC 5,000 ahead: so they are after a load. */
TEST(tscs_keep_their_distance)
{
	struct guest a = begin(), b = new_guest();
	struct snap_out o;
	struct snap_in in;
	int from[3] = { a.vcpu }, to[3] = { b.vcpu };
	uint64_t before, before_offset = offset_of(a.vcpu);

	if (!keeps_offsets(&a))
		SKIP(NO_OFFSETS);
	for (int i = 1; i < 3; i++) {
		from[i] = ioctl(a.vm.fd, KVM_CREATE_VCPU, i);
		to[i] = ioctl(b.vm.fd, KVM_CREATE_VCPU, i);
		CHECK(from[i] >= 0 && to[i] >= 0);
	}
	before = msr_of(&a, IA32_TSC);
	for (int i = 0; i < 3; i++) {
		set_offset(from[i], before_offset + (i == 2 ? 5000 : 0));
		set_offset(to[i], (uint64_t)i * 1000000);
	}
	CHECK_EQ(snap_out_init(&o, &err), 0);
	CHECK_EQ(time_state_save(a.vm.fd, (struct time_vcpus){ from, 3 }, &o, &err), 0);
	CHECK_EQ(snap_out_finish(&o, &err), 0);
	in = open_state(&o);
	CHECK_EQ(time_state_load(b.vm.fd, (struct time_vcpus){ to, 3 }, false, &in, &err), 0);
	CHECK_EQ(offset_of(to[1]) - offset_of(to[0]), 0);
	CHECK_EQ(offset_of(to[2]) - offset_of(to[0]), 5000);
	/* It has gone on from where it was, and no faster than the one that was not saved. */
	CHECK(msr_of(&b, IA32_TSC) > before);
	CHECK(msr_of(&b, IA32_TSC) < msr_of(&a, IA32_TSC));
	snap_in_fini(&in);
	snap_out_fini(&o);
}
