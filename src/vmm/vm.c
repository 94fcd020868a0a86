/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "vmm/x86/layout.h"

enum { CREATE_TRIES = 100 };

/* One ioctl of the VM with its name in the error. */
static int vm_ioctl(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = FAULT(-ENOMEM);

	if (r == 0 && ioctl(fd, request, arg) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: %s", name, strerror(-r));
	return 0;
}

/* KVM_CREATE_VM takes long on a busy host, and a signal ends it with EINTR. */
static int create(const struct kvm *kvm, struct err *e)
{
	int r = FAULT(-ENOMEM);

	for (unsigned i = 0; r == 0 || (r == -EINTR && i < CREATE_TRIES); i++) {
		int fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);

		if (fd >= 0)
			return fd;
		r = -errno;
	}
	return err_set(e, ERR_INTERNAL, r, "KVM_CREATE_VM: %s", strerror(-r));
}

/*
 * CPUID shows no performance counters, but AMD's first ones are there without it. A
 * KVM without this capability keeps them; the guest loses nothing by that.
 */
static void disable_pmu(const struct vm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_PMU_CAPABILITY,
		.args = { KVM_PMU_CAP_DISABLE },
	};

	(void)ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static int set_up(const struct vm *vm, struct err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int r;

	disable_pmu(vm);
	/* The TSS address is an argument, not what one points to. */
	r = vm_ioctl(vm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)LAYOUT_TSS, "KVM_SET_TSS_ADDR",
		     e);
	if (r < 0)
		return r;
	r = vm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP", e);
	if (r < 0)
		return r;
	return vm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2", e);
}

int vm_create(const struct kvm *kvm, struct vm *ret_vm, struct err *e)
{
	struct vm vm = { .fd = create(kvm, e) };
	int r = vm.fd;

	if (r < 0)
		return r;
	r = set_up(&vm, e);
	if (r < 0) {
		vm_destroy(&vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	fd_close_(&vm->fd);
	vm->fd = -1;
}

int vm_add_memory(struct vm *vm, gpa_t base, uint64_t size, void *hva, bool log_dirty,
		  struct err *e)
{
	struct kvm_userspace_memory_region slot = {
		.slot = vm->nslots,
		.flags = log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = base,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};
	int r = vm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION",
			 e);

	if (r < 0)
		return r;
	vm->nslots++;
	return 0;
}

int vm_add_irqfd(const struct vm *vm, int fd, unsigned gsi, struct err *e)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = gsi };
	char name[32];

	snprintf(name, sizeof(name), "KVM_IRQFD of GSI %u", gsi);
	return vm_ioctl(vm->fd, KVM_IRQFD, &irqfd, name, e);
}

int vm_add_ioeventfd(const struct vm *vm, int fd, gpa_t addr, uint32_t value, struct err *e)
{
	struct kvm_ioeventfd io = {
		.datamatch = value,
		.addr = addr,
		.len = sizeof(value),
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	char name[48];

	snprintf(name, sizeof(name), "KVM_IOEVENTFD at %#llx", (unsigned long long)addr);
	return vm_ioctl(vm->fd, KVM_IOEVENTFD, &io, name, e);
}
