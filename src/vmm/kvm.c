/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"

#define KVM_PATH "/dev/kvm"
enum { CPUID_ENTRIES_MAX = 1024 };

/* Not KVM_CAP_XCRS: a processor without XSAVE has no XCRs, and guests do without. */
static const struct capability {
	int id;
	const char *name;
} required[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
	{ KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2" },
	{ KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK" },
	{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
	{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
	{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static int open_failed(int r, struct err *e)
{
	switch (-r) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return err_set(e, ERR_INTERNAL, r,
			       KVM_PATH
			       ": %s; load kvm_intel or kvm_amd, and enable virtualisation in "
			       "the firmware (or nested virtualisation in the hypervisor)",
			       strerror(-r));
	case EACCES:
	case EPERM:
		return err_set(e, ERR_INTERNAL, r,
			       KVM_PATH
			       ": %s; add the user to the group that owns it (kvm), or give the "
			       "jail's user access",
			       strerror(-r));
	default:
		return err_set(e, ERR_INTERNAL, r, KVM_PATH ": %s", strerror(-r));
	}
}

static int check(struct kvm *kvm, struct err *e)
{
	int v = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);

	if (v != KVM_API_VERSION)
		return err_set(e, ERR_INTERNAL, -EPROTONOSUPPORT,
			       KVM_PATH ": API version %d instead of %d; this is not Linux's KVM",
			       v, KVM_API_VERSION);
	for (unsigned i = 0; i < ARRAY_SIZE(required); i++) {
		v = FAULT(-EOPNOTSUPP) < 0 ? 0
					   : ioctl(kvm->fd, KVM_CHECK_EXTENSION, required[i].id);
		if (v <= 0)
			return err_set(e, ERR_INTERNAL, -EOPNOTSUPP,
				       KVM_PATH
				       ": %s is missing; the host kernel must be Linux 6.1 or "
				       "later with a complete KVM",
				       required[i].name);
	}
	v = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (v < (int)sizeof(struct kvm_run))
		return err_set(e, ERR_INTERNAL, -EPROTO, KVM_PATH ": vCPU mapping of %d bytes", v);
	kvm->run_size = (size_t)v;
	v = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	kvm->max_vcpus = v > 0 ? (unsigned)v : 4; /* the default that KVM's documentation gives */
	return 0;
}

int kvm_open(struct kvm *ret_kvm, struct err *e)
{
	struct kvm kvm = { .fd = FAULT(-ENOENT) };
	int r;

	if (kvm.fd < 0)
		return open_failed(kvm.fd, e);
	kvm.fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	if (kvm.fd < 0)
		return open_failed(-errno, e);
	r = check(&kvm, e);
	if (r < 0) {
		kvm_close(&kvm);
		return r;
	}
	*ret_kvm = kvm;
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	fd_close_(&kvm->fd);
	kvm->fd = -1;
}

int kvm_supported_cpuid(const struct kvm *kvm, struct kvm_cpuid2 **ret_cpuid, struct err *e)
{
	/* KVM says -E2BIG while the room is too small; it needs about 40 entries. */
	for (unsigned n = 64; n <= CPUID_ENTRIES_MAX; n *= 2) {
		autofree struct kvm_cpuid2 *c = NULL;
		int r = FAULT(-ENOMEM);

		if (r == 0)
			c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));
		if (!c)
			return err_set(e, ERR_INTERNAL, -ENOMEM, "CPUID table: out of memory");
		c->nent = n;
		if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, c) == 0) {
			*ret_cpuid = take_ptr(&c);
			return 0;
		}
		r = -errno;
		if (r != -E2BIG)
			return err_set(e, ERR_INTERNAL, r, "KVM_GET_SUPPORTED_CPUID: %s",
				       strerror(-r));
	}
	return err_set(e, ERR_INTERNAL, -E2BIG, "KVM_GET_SUPPORTED_CPUID: more than %d entries",
		       CPUID_ENTRIES_MAX);
}
