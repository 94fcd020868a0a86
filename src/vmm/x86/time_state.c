/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/time_state.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/fault.h"

enum {
	IA32_TSC = 0x10,
	TSC_TOLERANCE_PPM = 250,
	KHZ_MIN = 10000, /* of a TSC; processors are far within */
	KHZ_MAX = 100000000,
	READINGS = 5, /* of both clocks: the closest counts */
};

struct moment {
	uint64_t kvmclock_ns;
	uint64_t realtime_ns; /* the host's */
	uint64_t tsc;	      /* of the first vCPU */
};

struct tsc {
	uint32_t khz;
	uint64_t offset; /* to the host's, modulo 2^64 */
};

static int kvm_ioctl(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = FAULT(-EINVAL);

	if (r == 0 && ioctl(fd, request, arg) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: %s", name, strerror(-r));
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int read_tsc(int fd, uint64_t *ret, struct err *e)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = { .head.nmsrs = 1 };
	int r;

	one.head.entries[0].index = IA32_TSC;
	r = kvm_ioctl(fd, KVM_GET_MSRS, &one, "KVM_GET_MSRS of the TSC", e);
	*ret = one.head.entries[0].data;
	return r;
}

/* Without a stable TSC, KVM does not say the real time. */
static int read_clock(int vm_fd, struct moment *ret, struct err *e)
{
	struct kvm_clock_data clock = { 0 };
	int r = kvm_ioctl(vm_fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK", e);

	ret->kvmclock_ns = clock.clock;
	ret->realtime_ns = clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : realtime_ns();
	return r;
}

/*
 * Both clocks at one moment. The TSC is read before kvmclock and after it; of a few such
 * readings the one that took the least time is taken, so that no preemption is in it.
 */
static int read_moment(int vm_fd, int vcpu_fd, struct moment *ret, struct err *e)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		struct moment m;
		uint64_t before, after;

		if (read_tsc(vcpu_fd, &before, e) < 0 || read_clock(vm_fd, &m, e) < 0 ||
		    read_tsc(vcpu_fd, &after, e) < 0)
			return e->code;
		m.tsc = before + (after - before) / 2;
		if (after - before < least) {
			least = after - before;
			*ret = m;
		}
	}
	return 0;
}

/* request: KVM_GET_DEVICE_ATTR or KVM_SET_DEVICE_ATTR. */
static int tsc_offset(int fd, unsigned long request, uint64_t *offset, struct err *e)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)offset };

	return kvm_ioctl(fd, request, &attr,
			 request == KVM_GET_DEVICE_ATTR ? "KVM_GET_DEVICE_ATTR of the TSC's offset"
							: "KVM_SET_DEVICE_ATTR of the TSC's offset",
			 e);
}

static int tsc_khz(int fd, uint32_t *ret, struct err *e)
{
	int r = FAULT(-EIO);

	if (r == 0) {
		r = ioctl(fd, KVM_GET_TSC_KHZ, 0);
		r = r < 0 ? -errno : r;
	}
	if (r <= 0)
		return err_set(e, ERR_INTERNAL, r < 0 ? r : -EIO, "KVM_GET_TSC_KHZ: %s",
			       strerror(r < 0 ? -r : EIO));
	*ret = (uint32_t)r;
	return 0;
}

/* --- save ----------------------------------------------------------------------- */

static int save_clock(int vm_fd, int vcpu_fd, struct snap_out *out, struct err *e)
{
	struct moment m = { 0 };
	struct state_out *o;
	int r = read_moment(vm_fd, vcpu_fd, &m, e);

	if (r < 0)
		return r;
	o = snap_begin(out, "clock", 0, SNAP_REQUIRED);
	state_put_u64(o, m.kvmclock_ns);
	state_put_u64(o, m.realtime_ns);
	state_put_u64(o, m.tsc);
	snap_end(out);
	return 0;
}

static int save_tsc(int fd, unsigned index, struct snap_out *out, struct err *e)
{
	struct tsc tsc = { 0 };
	struct state_out *o;
	int r = tsc_khz(fd, &tsc.khz, e);

	if (r == 0)
		r = tsc_offset(fd, KVM_GET_DEVICE_ATTR, &tsc.offset, e);
	if (r < 0)
		return err_wrap(e, "vCPU %u", index);
	o = snap_begin(out, "vcpu-tsc", index, SNAP_REQUIRED);
	state_put_u32(o, tsc.khz);
	state_put_u64(o, tsc.offset);
	snap_end(out);
	return 0;
}

int time_state_save(int vm_fd, struct time_vcpus vcpus, struct snap_out *out, struct err *e)
{
	int r = save_clock(vm_fd, vcpus.fds[0], out, e);

	for (unsigned i = 0; i < vcpus.n && r == 0; i++)
		r = save_tsc(vcpus.fds[i], i, out, e);
	return r;
}

/* --- load ----------------------------------------------------------------------- */

static int take_clock(struct snap_in *in, struct moment *ret, struct err *e)
{
	struct state_in s;
	int r = snap_take(in, "clock", 0, &s, e);

	if (r < 0)
		return r;
	ret->kvmclock_ns = state_get_u64(&s);
	ret->realtime_ns = state_get_u64(&s);
	ret->tsc = state_get_u64(&s);
	return snap_taken(&s, "clock", 0, e);
}

static int take_tsc(struct snap_in *in, unsigned index, struct tsc *ret, struct err *e)
{
	struct state_in s;
	int r = snap_take(in, "vcpu-tsc", index, &s, e);

	if (r < 0)
		return r;
	ret->khz = state_get_u32(&s);
	ret->offset = state_get_u64(&s);
	return snap_taken(&s, "vcpu-tsc", index, e);
}

/*
 * A guest that measured its TSC once goes by that for ever. Where the processor cannot scale,
 * KVM accepts a higher rate all the same and makes the TSC leap to keep it: not for us.
 */
static int set_rate(int vm_fd, int fd, uint32_t khz, struct err *e)
{
	const uint64_t saved = khz;
	uint64_t apart;
	uint32_t here;
	int r = tsc_khz(fd, &here, e);

	if (r < 0)
		return r;
	if (khz < KHZ_MIN || khz > KHZ_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the snapshot's TSC runs at %u kHz, as no processor's does", khz);
	apart = here > saved ? here - saved : saved - here;
	if (apart * 1000000 <= saved * TSC_TOLERANCE_PPM)
		return 0;
	r = FAULT(-EINVAL);
	if (r == 0 && ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) <= 0)
		r = -EOPNOTSUPP;
	if (r == 0 && ioctl(fd, KVM_SET_TSC_KHZ, saved) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "the snapshot's TSC runs at %u kHz and this host's at %u, "
			       "which cannot be scaled: %s",
			       khz, here, strerror(-r));
	return 0;
}

/* How far the TSC goes in so many nanoseconds. */
static uint64_t cycles(uint64_t ns, uint32_t khz)
{
	return (uint64_t)((unsigned __int128)ns * khz / 1000000);
}

/* The time that the guest was away goes into both clocks. */
static int add_absence(struct moment *clock, uint32_t khz, struct err *e)
{
	const uint64_t then = clock->realtime_ns, now = realtime_ns();

	/* A host whose clock is behind the snapshot's cannot say how long it has been. */
	if (now <= then)
		return 0;
	if (__builtin_add_overflow(clock->kvmclock_ns, now - then, &clock->kvmclock_ns))
		return err_set(e, ERR_INVALID, -ERANGE,
			       "record `clock' 0: no time to go on from: %llu ns",
			       (unsigned long long)then);
	clock->tsc += cycles(now - then, khz);
	return 0;
}

static int set_clock(int vm_fd, uint64_t ns, struct err *e)
{
	struct kvm_clock_data clock = { .clock = ns };

	return kvm_ioctl(vm_fd, KVM_SET_CLOCK, &clock, "KVM_SET_CLOCK", e);
}

/* The offset with which the first vCPU's TSC is where kvmclock, which runs, says it is. */
static int first_offset(int vm_fd, int vcpu_fd, const struct moment *then, uint32_t khz,
			uint64_t *ret, struct err *e)
{
	struct moment now = { 0 };
	uint64_t offset = 0;
	int r = read_moment(vm_fd, vcpu_fd, &now, e);

	if (r == 0)
		r = tsc_offset(vcpu_fd, KVM_GET_DEVICE_ATTR, &offset, e);
	*ret = offset + then->tsc + cycles(now.kvmclock_ns - then->kvmclock_ns, khz) - now.tsc;
	return r;
}

static int load_rates(int vm_fd, struct time_vcpus vcpus, struct snap_in *in, struct err *e)
{
	struct tsc tsc;

	for (unsigned i = 0; i < vcpus.n; i++)
		if (take_tsc(in, i, &tsc, e) < 0 || set_rate(vm_fd, vcpus.fds[i], tsc.khz, e) < 0)
			return err_wrap(e, "vCPU %u", i);
	return 0;
}

/* `moved' from where they were, all by the same. */
static int load_offsets(struct time_vcpus vcpus, uint64_t moved, struct snap_in *in, struct err *e)
{
	struct tsc tsc;

	for (unsigned i = 0; i < vcpus.n; i++) {
		if (take_tsc(in, i, &tsc, e) < 0)
			return err_wrap(e, "vCPU %u", i);
		tsc.offset += moved;
		if (tsc_offset(vcpus.fds[i], KVM_SET_DEVICE_ATTR, &tsc.offset, e) < 0)
			return err_wrap(e, "vCPU %u", i);
	}
	return 0;
}

int time_state_load(int vm_fd, struct time_vcpus vcpus, bool realtime, struct snap_in *in,
		    struct err *e)
{
	struct moment clock;
	struct tsc first = { 0 };
	uint64_t offset = 0;
	int r = take_clock(in, &clock, e);

	if (r == 0)
		r = take_tsc(in, 0, &first, e);
	if (r == 0 && realtime)
		r = add_absence(&clock, first.khz, e);
	if (r == 0)
		r = load_rates(vm_fd, vcpus, in, e);
	if (r == 0)
		r = set_clock(vm_fd, clock.kvmclock_ns, e);
	if (r == 0)
		r = first_offset(vm_fd, vcpus.fds[0], &clock, first.khz, &offset, e);
	return r == 0 ? load_offsets(vcpus, offset - first.offset, in, e) : r;
}
