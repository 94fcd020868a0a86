/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "conf/cpu.h"
#include "vmm/x86/cpuid.h"

#define KVM_PATH "/dev/kvm"

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

static bool has_capability(const struct kvm *kvm, unsigned id)
{
	return FAULT(-EOPNOTSUPP) == 0 && ioctl(kvm->fd, KVM_CHECK_EXTENSION, id) > 0;
}

static bool is_removed(const struct conf_cpu *cpu, unsigned id)
{
	for (unsigned i = 0; cpu && i < cpu->ncapabilities; i++)
		if (cpu->capability[i].id == id && cpu->capability[i].remove)
			return true;
	return false;
}

static int check_capabilities(const struct kvm *kvm, const struct conf_cpu *cpu, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(required); i++)
		if (!is_removed(cpu, (unsigned)required[i].id) &&
		    !has_capability(kvm, (unsigned)required[i].id))
			return err_set(e, ERR_INTERNAL, -EOPNOTSUPP,
				       KVM_PATH
				       ": %s is missing; the host kernel must be Linux 6.1 or "
				       "later with a complete KVM",
				       required[i].name);
	for (unsigned i = 0; cpu && i < cpu->ncapabilities; i++)
		if (!is_removed(cpu, cpu->capability[i].id) &&
		    !has_capability(kvm, cpu->capability[i].id))
			return err_set(e, ERR_INVALID, -EOPNOTSUPP,
				       KVM_PATH
				       ": KVM capability %u, which the CPU template requires, is "
				       "missing on this host",
				       cpu->capability[i].id);
	return 0;
}

static int check(struct kvm *kvm, const struct conf_cpu *cpu, struct err *e)
{
	int v = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	int r;

	if (v != KVM_API_VERSION)
		return err_set(e, ERR_INTERNAL, -EPROTONOSUPPORT,
			       KVM_PATH ": API version %d instead of %d; this is not Linux's KVM",
			       v, KVM_API_VERSION);
	r = check_capabilities(kvm, cpu, e);
	if (r < 0)
		return r;
	v = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (v < (int)sizeof(struct kvm_run))
		return err_set(e, ERR_INTERNAL, -EPROTO, KVM_PATH ": vCPU mapping of %d bytes", v);
	kvm->run_size = (size_t)v;
	v = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	kvm->max_vcpus = v > 0 ? (unsigned)v : 4; /* the default that KVM's documentation gives */
	return 0;
}

int kvm_open_with(const struct conf_cpu *cpu, struct kvm *ret_kvm, struct err *e)
{
	struct kvm kvm = { .fd = FAULT(-ENOENT) };
	int r;

	if (kvm.fd < 0)
		return open_failed(kvm.fd, e);
	kvm.fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	if (kvm.fd < 0)
		return open_failed(-errno, e);
	r = check(&kvm, cpu, e);
	if (r < 0) {
		kvm_close(&kvm);
		return r;
	}
	*ret_kvm = kvm;
	return 0;
}

int kvm_open(struct kvm *ret_kvm, struct err *e)
{
	return kvm_open_with(NULL, ret_kvm, e);
}

void kvm_close(struct kvm *kvm)
{
	fd_close_(&kvm->fd);
	kvm->fd = -1;
}

int kvm_supported_cpuid(const struct kvm *kvm, struct kvm_cpuid2 **ret_cpuid, struct err *e)
{
	autofree struct kvm_cpuid2 *c = NULL;

	if (FAULT(-ENOMEM) == 0)
		c = calloc(1, sizeof(*c) + CPUID_ENTRIES_MAX * sizeof(c->entries[0]));
	if (!c)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "CPUID table: out of memory");
	c->nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "KVM_GET_SUPPORTED_CPUID: %s",
			       strerror(errno));
	*ret_cpuid = take_ptr(&c);
	return 0;
}
