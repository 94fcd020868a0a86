/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/time_state.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/fault.h"

enum { IA32_TSC = 0x10, TSC_TOLERANCE_PPM = 250 };

struct clock {
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

/* Before Linux 5.16, and without a stable TSC, KVM does not say the real time. */
static int save_clock(int vm_fd, int vcpu_fd, struct snap_out *out, struct err *e)
{
	struct kvm_clock_data clock = { 0 };
	struct state_out *o;
	uint64_t tsc = 0;
	int r = kvm_ioctl(vm_fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK", e);

	if (r == 0)
		r = read_tsc(vcpu_fd, &tsc, e);
	if (r < 0)
		return r;
	o = snap_begin(out, "clock", 0, SNAP_REQUIRED);
	state_put_u64(o, clock.clock);
	state_put_u64(o, clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : realtime_ns());
	state_put_u64(o, tsc);
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

static int take_clock(struct snap_in *in, struct clock *ret, struct err *e)
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

/* A guest that measured its TSC once goes by that for ever. */
static int set_rate(int fd, uint32_t khz, struct err *e)
{
	const uint64_t saved = khz;
	uint64_t apart;
	uint32_t here;
	int r = tsc_khz(fd, &here, e);

	if (r < 0)
		return r;
	apart = here > saved ? here - saved : saved - here;
	if (apart * 1000000 <= saved * TSC_TOLERANCE_PPM)
		return 0;
	/* 0 would mean the host's rate. */
	if (saved == 0 || ioctl(fd, KVM_SET_TSC_KHZ, saved) < 0)
		return err_set(e, ERR_INTERNAL, saved == 0 ? -EINVAL : -errno,
			       "the snapshot's TSC runs at %u kHz and this host's at %u, "
			       "which cannot be scaled: KVM_SET_TSC_KHZ: %s",
			       khz, here, strerror(saved == 0 ? EINVAL : errno));
	return 0;
}

/* The time that the guest was away goes into both clocks. */
static int add_absence(struct clock *clock, uint32_t khz, struct err *e)
{
	const uint64_t then = clock->realtime_ns, now = realtime_ns();

	/* A host whose clock is behind the snapshot's cannot say how long it has been. */
	if (now <= then)
		return 0;
	if (__builtin_add_overflow(clock->kvmclock_ns, now - then, &clock->kvmclock_ns))
		return err_set(e, ERR_INVALID, -ERANGE,
			       "record `clock' 0: no time to go on from: %llu ns",
			       (unsigned long long)then);
	clock->tsc += (uint64_t)((unsigned __int128)(now - then) * khz / 1000000);
	return 0;
}

static int set_clock(int vm_fd, uint64_t ns, struct err *e)
{
	struct kvm_clock_data clock = { .clock = ns };

	return kvm_ioctl(vm_fd, KVM_SET_CLOCK, &clock, "KVM_SET_CLOCK", e);
}

/* The offset that makes the vCPU's TSC show `tsc' now. */
static int offset_for(int fd, uint64_t tsc, uint64_t *ret, struct err *e)
{
	uint64_t now = 0, offset = 0;
	int r = read_tsc(fd, &now, e);

	if (r == 0)
		r = tsc_offset(fd, KVM_GET_DEVICE_ATTR, &offset, e);
	*ret = offset + (tsc - now);
	return r;
}

static int load_rates(struct time_vcpus vcpus, struct snap_in *in, struct err *e)
{
	struct tsc tsc;

	for (unsigned i = 0; i < vcpus.n; i++)
		if (take_tsc(in, i, &tsc, e) < 0 || set_rate(vcpus.fds[i], tsc.khz, e) < 0)
			return err_wrap(e, "vCPU %u", i);
	return 0;
}

static int load_offsets(struct time_vcpus vcpus, uint64_t tsc_now, struct snap_in *in,
			struct err *e)
{
	struct tsc first, tsc;
	uint64_t moved = 0;
	int r = take_tsc(in, 0, &first, e);

	if (r == 0)
		r = offset_for(vcpus.fds[0], tsc_now, &moved, e);
	if (r < 0)
		return r;
	moved -= first.offset;
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
	struct clock clock;
	struct tsc first;
	int r = take_clock(in, &clock, e);

	if (r == 0)
		r = take_tsc(in, 0, &first, e);
	if (r == 0 && realtime)
		r = add_absence(&clock, first.khz, e);
	if (r == 0)
		r = load_rates(vcpus, in, e);
	if (r == 0)
		r = set_clock(vm_fd, clock.kvmclock_ns, e);
	return r == 0 ? load_offsets(vcpus, clock.tsc, in, e) : r;
}
