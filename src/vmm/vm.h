/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine as KVM knows it: memory slots, interrupt controllers, timer,
 * and the eventfds that carry kicks in and interrupts out.
 *
 * Main thread, while the machine is built; nothing here is called after the filter.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "mem/gmem.h"
#include "vmm/kvm.h"

struct vm {
	int fd; /* owned; -1: none */
	unsigned nslots;
};

/* With irqchip, PIT and TSS in place, and without memory. */
must_check int vm_create(const struct kvm *kvm, struct vm *ret_vm, struct err *e);
void vm_destroy(struct vm *vm);

/* `log_dirty': KVM keeps a bitmap of the pages that the guest writes. */
must_check int vm_add_memory(struct vm *vm, gpa_t base, uint64_t size, void *hva, bool log_dirty,
			     struct err *e);

/* A write to `fd' (an eventfd) raises the interrupt. */
must_check int vm_add_irqfd(const struct vm *vm, int fd, unsigned gsi, struct err *e);

/* A 32-bit guest write of `value' to `addr' signals `fd' and causes no exit. */
must_check int vm_add_ioeventfd(const struct vm *vm, int fd, gpa_t addr, uint32_t value,
				struct err *e);
