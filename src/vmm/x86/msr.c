/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/msr.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"

#define IA32_TSC	  0x10
#define IA32_SYSENTER_CS  0x174
#define IA32_SYSENTER_ESP 0x175
#define IA32_SYSENTER_EIP 0x176
#define IA32_MISC_ENABLE  0x1a0
#define MTRR_DEF_TYPE	  0x2ff
#define STAR		  0xc0000081
#define LSTAR		  0xc0000082
#define CSTAR		  0xc0000083
#define SYSCALL_MASK	  0xc0000084
#define KERNEL_GS_BASE	  0xc0000102

enum { FAST_STRING = 1, MTRR_ENABLE_WRITE_BACK = 1 << 11 | 6 };

static const struct kvm_msr_entry boot[] = {
	{ .index = IA32_SYSENTER_CS },
	{ .index = IA32_SYSENTER_ESP },
	{ .index = IA32_SYSENTER_EIP },
	{ .index = STAR },
	{ .index = CSTAR },
	{ .index = KERNEL_GS_BASE },
	{ .index = SYSCALL_MASK },
	{ .index = LSTAR },
	{ .index = IA32_TSC },
	{ .index = IA32_MISC_ENABLE, .data = FAST_STRING },
	{ .index = MTRR_DEF_TYPE, .data = MTRR_ENABLE_WRITE_BACK },
};

/* KVM takes 256 in one call (MAX_IO_MSRS). */
static_assert(CONF_CPU_MSRS_MAX <= 256, "one call");
static_assert(ARRAY_SIZE(boot) <= CONF_CPU_MSRS_MAX, "one size of list for both");

union list {
	struct kvm_msrs head;
	char room[sizeof(struct kvm_msrs) + CONF_CPU_MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

unsigned msr_boot(const struct kvm_msr_entry **ret_entries)
{
	*ret_entries = boot;
	return ARRAY_SIZE(boot);
}

void msr_modify(const struct conf_cpu *t, struct kvm_msr_entry *entries)
{
	for (unsigned i = 0; i < t->nmsrs; i++)
		entries[i].data = (entries[i].data & ~t->msr[i].mask) | t->msr[i].value;
}

/* KVM does them one after the other and says how many it has done. */
static int transfer(int fd, unsigned long request, union list *list, const char *name,
		    struct err *e)
{
	int n = FAULT(-EINVAL);

	if (n == 0) {
		n = ioctl(fd, request, &list->head);
		n = n < 0 ? -errno : n;
	}
	if (n < 0)
		return err_set(e, ERR_INTERNAL, n, "%s: %s", name, strerror(-n));
	if ((unsigned)n < list->head.nmsrs)
		return err_set(e, ERR_INTERNAL, -EINVAL, "%s: this host refuses MSR %#x", name,
			       list->head.entries[n].index);
	return 0;
}

static int set_boot(int fd, struct err *e)
{
	union list list = { .head.nmsrs = ARRAY_SIZE(boot) };

	memcpy(list.head.entries, boot, sizeof(boot));
	return transfer(fd, KVM_SET_MSRS, &list, "KVM_SET_MSRS", e);
}

/*
 * Each vCPU's own registers are read, not the first one's: some differ. A register
 * that is listed twice is set twice, and the last one stays.
 */
static int set_template(int fd, const struct conf_cpu *t, struct err *e)
{
	union list list = { .head.nmsrs = t->nmsrs };
	int r;

	for (unsigned i = 0; i < t->nmsrs; i++)
		list.head.entries[i].index = t->msr[i].addr;
	r = transfer(fd, KVM_GET_MSRS, &list, "KVM_GET_MSRS", e);
	if (r == 0) {
		msr_modify(t, list.head.entries);
		r = transfer(fd, KVM_SET_MSRS, &list, "KVM_SET_MSRS", e);
	}
	return r < 0 ? err_wrap(e, "CPU template") : 0;
}

int msr_set_up(int vcpu_fd, const struct conf_cpu *t, struct err *e)
{
	int r = set_boot(vcpu_fd, e);

	return r < 0 || !t || t->nmsrs == 0 ? r : set_template(vcpu_fd, t, e);
}
