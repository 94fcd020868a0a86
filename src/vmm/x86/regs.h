/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's state when the guest's first instruction runs: CPUID, MSRs, LAPIC, FPU,
 * registers. Every vCPU gets the same; KVM keeps all but the first waiting for SIPI.
 *
 * Main thread, before the vCPU thread runs.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"
#include "vmm/loader.h"

struct conf_cpu;
struct kvm_cpuid2;
struct kvm_regs;
struct kvm_sregs;

/* GDT, IDT and page tables that the protocol's entry state points to. */
must_check int regs_write_tables(const struct gmem *mem, enum kernel_protocol protocol,
				 struct err *e);

/* The registers of the entry state; of *sregs, as KVM gave them, only what that defines. */
void regs_entry(const struct kernel_image *kernel, struct kvm_regs *regs, struct kvm_sregs *sregs);

struct regs_cfg {
	const struct kvm_cpuid2 *cpuid;	 /* of this vCPU */
	const struct conf_cpu *template; /* its MSRs; NULL: none */
	const struct kernel_image *kernel;
};
must_check int regs_set_up(int vcpu_fd, const struct regs_cfg *cfg, struct err *e);
