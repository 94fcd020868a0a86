/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/vcpu_state.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/msr_state.h"

enum {
	XSAVE_MIN = sizeof(struct kvm_xsave),
	XSAVE_MAX = 1 << 20, /* far above any processor's */
};

static int vcpu_ioctl(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = FAULT(-EINVAL);

	if (r == 0 && ioctl(fd, request, arg) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: %s", name, strerror(-r));
	return 0;
}

/* --- the host ----------------------------------------------------------------- */

int vcpu_host_init(const struct kvm *kvm, int vm_fd, struct vcpu_host *ret, struct err *e)
{
	struct vcpu_host host = { .xsave_size = XSAVE_MIN };
	int r;

	/* Larger than a page where guests may use AMX. */
	r = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	if (r > XSAVE_MIN && r <= XSAVE_MAX)
		host.xsave_size = (size_t)r;
	host.has_xcrs = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	r = msr_state_list(kvm, &host.msrs, e);
	if (r < 0)
		return r;
	*ret = host;
	return 0;
}

void vcpu_host_fini(struct vcpu_host *host)
{
	free(host->msrs);
	*host = (struct vcpu_host){ 0 };
}

/* --- what has one size ---------------------------------------------------------- */

#define ITEM(record, what, type)                                                \
	{                                                                       \
		.name = (record), .get = KVM_GET_##what, .set = KVM_SET_##what, \
		.get_name = "KVM_GET_" #what, .set_name = "KVM_SET_" #what,     \
		.size = sizeof(struct type)                                     \
	}

static const struct item {
	const char *name;
	unsigned long get, set;
	const char *get_name, *set_name;
	size_t size;
} mp_state = ITEM("vcpu-mp-state", MP_STATE, kvm_mp_state),
  regs = ITEM("vcpu-regs", REGS, kvm_regs), sregs = ITEM("vcpu-sregs", SREGS2, kvm_sregs2),
  xcrs = ITEM("vcpu-xcrs", XCRS, kvm_xcrs),
  debugregs = ITEM("vcpu-debugregs", DEBUGREGS, kvm_debugregs),
  lapic = ITEM("vcpu-lapic", LAPIC, kvm_lapic_state),
  events = ITEM("vcpu-events", VCPU_EVENTS, kvm_vcpu_events);

union any_item {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
};

static int save_item(const struct item *item, int fd, unsigned index, struct snap_out *out,
		     struct err *e)
{
	union any_item v = { 0 };
	int r = vcpu_ioctl(fd, item->get, &v, item->get_name, e);

	if (r < 0)
		return r;
	state_put_mem(snap_begin(out, item->name, index, SNAP_REQUIRED), &v, item->size);
	snap_end(out);
	return 0;
}

static int load_item(const struct item *item, int fd, unsigned index, struct snap_in *in,
		     struct err *e)
{
	union any_item v = { 0 };
	struct state_in s;
	int r = snap_take(in, item->name, index, &s, e);

	if (r < 0)
		return r;
	state_get_mem(&s, &v, item->size);
	r = snap_taken(&s, item->name, index, e);
	return r < 0 ? r : vcpu_ioctl(fd, item->set, &v, item->set_name, e);
}

/* --- CPUID ---------------------------------------------------------------------- */

static struct kvm_cpuid2 *make_cpuid(void)
{
	struct kvm_cpuid2 *c = NULL;

	if (FAULT(-ENOMEM) == 0)
		c = calloc(1, sizeof(*c) + CPUID_ENTRIES_MAX * sizeof(c->entries[0]));
	if (c)
		c->nent = CPUID_ENTRIES_MAX;
	return c;
}

static int save_cpuid(int fd, unsigned index, struct snap_out *out, struct err *e)
{
	autofree struct kvm_cpuid2 *c = make_cpuid();
	int r;

	if (!c)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "CPUID table: out of memory");
	r = vcpu_ioctl(fd, KVM_GET_CPUID2, c, "KVM_GET_CPUID2", e);
	if (r < 0)
		return r;
	state_put_mem(snap_begin(out, "vcpu-cpuid", index, SNAP_REQUIRED), c->entries,
		      c->nent * sizeof(c->entries[0]));
	snap_end(out);
	return 0;
}

static int load_cpuid(int fd, unsigned index, struct snap_in *in, struct err *e)
{
	autofree struct kvm_cpuid2 *c = make_cpuid();
	struct state_in s;
	int r = snap_take(in, "vcpu-cpuid", index, &s, e);

	if (r < 0)
		return r;
	if (!c)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "CPUID table: out of memory");
	if (s.len % sizeof(c->entries[0]) == 0 &&
	    s.len / sizeof(c->entries[0]) <= CPUID_ENTRIES_MAX) {
		c->nent = (uint32_t)(s.len / sizeof(c->entries[0]));
		state_get_mem(&s, c->entries, s.len);
	}
	r = snap_taken(&s, "vcpu-cpuid", index, e);
	return r < 0 ? r : vcpu_ioctl(fd, KVM_SET_CPUID2, c, "KVM_SET_CPUID2", e);
}

/* --- FPU and more --------------------------------------------------------------- */

static int save_xsave(const struct vcpu_host *host, int fd, unsigned index, struct snap_out *out,
		      struct err *e)
{
	const bool large = host->xsave_size > XSAVE_MIN;
	autofree void *v = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, host->xsave_size);
	int r;

	if (!v)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "XSAVE area: out of memory");
	r = vcpu_ioctl(fd, large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, v,
		       large ? "KVM_GET_XSAVE2" : "KVM_GET_XSAVE", e);
	if (r < 0)
		return r;
	state_put_mem(snap_begin(out, "vcpu-xsave", index, SNAP_REQUIRED), v, host->xsave_size);
	snap_end(out);
	return 0;
}

/* KVM reads as much as this host has, so a shorter area is filled up with zeros. */
static int load_xsave(const struct vcpu_host *host, int fd, unsigned index, struct snap_in *in,
		      struct err *e)
{
	autofree void *v = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, host->xsave_size);
	struct state_in s;
	int r = snap_take(in, "vcpu-xsave", index, &s, e);

	if (r < 0)
		return r;
	if (!v)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "XSAVE area: out of memory");
	if (s.len < XSAVE_MIN || s.len > host->xsave_size)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the snapshot's processor has %zu bytes of extended state, this "
			       "host's %zu",
			       s.len, host->xsave_size);
	state_get_mem(&s, v, s.len);
	return vcpu_ioctl(fd, KVM_SET_XSAVE, v, "KVM_SET_XSAVE", e);
}

/* --- the whole ------------------------------------------------------------------ */

static int save(const struct vcpu_host *host, int fd, unsigned index, struct snap_out *out,
		struct err *e)
{
	int r = save_item(&mp_state, fd, index, out, e);

	if (r == 0)
		r = save_item(&regs, fd, index, out, e);
	if (r == 0)
		r = save_item(&sregs, fd, index, out, e);
	if (r == 0)
		r = save_xsave(host, fd, index, out, e);
	if (r == 0 && host->has_xcrs)
		r = save_item(&xcrs, fd, index, out, e);
	if (r == 0)
		r = save_item(&debugregs, fd, index, out, e);
	if (r == 0)
		r = save_item(&lapic, fd, index, out, e);
	if (r == 0)
		r = save_cpuid(fd, index, out, e);
	if (r == 0)
		r = msr_state_save(host->msrs, fd, index, out, e);
	return r == 0 ? save_item(&events, fd, index, out, e) : r;
}

static int load(const struct vcpu_host *host, int fd, unsigned index, struct snap_in *in,
		struct err *e)
{
	int r = load_cpuid(fd, index, in, e);

	if (r == 0)
		r = load_item(&mp_state, fd, index, in, e);
	if (r == 0)
		r = load_item(&regs, fd, index, in, e);
	if (r == 0)
		r = load_item(&sregs, fd, index, in, e);
	if (r == 0)
		r = load_xsave(host, fd, index, in, e);
	if (r == 0 && host->has_xcrs && snap_has(in, xcrs.name, index))
		r = load_item(&xcrs, fd, index, in, e);
	if (r == 0)
		r = load_item(&debugregs, fd, index, in, e);
	if (r == 0)
		r = load_item(&lapic, fd, index, in, e);
	if (r == 0)
		r = msr_state_load(fd, index, in, e);
	return r == 0 ? load_item(&events, fd, index, in, e) : r;
}

int vcpu_state_save(const struct vcpu_host *host, int vcpu_fd, unsigned index, struct snap_out *out,
		    struct err *e)
{
	int r = save(host, vcpu_fd, index, out, e);

	return r < 0 ? err_wrap(e, "vCPU %u", index) : 0;
}

int vcpu_state_load(const struct vcpu_host *host, int vcpu_fd, unsigned index, struct snap_in *in,
		    struct err *e)
{
	int r = load(host, vcpu_fd, index, in, e);

	return r < 0 ? err_wrap(e, "vCPU %u", index) : 0;
}
