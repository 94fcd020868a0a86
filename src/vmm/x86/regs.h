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

struct kvm_cpuid2;

/* GDT, IDT and page tables that the 64-bit entry state points to. */
must_check int regs_write_tables(const struct gmem *mem, struct err *e);

struct regs_cfg {
	const struct kvm_cpuid2 *cpuid; /* of this vCPU */
	gpa_t entry;			/* the kernel's 64-bit entry point */
};
must_check int regs_set_up(int vcpu_fd, const struct regs_cfg *cfg, struct err *e);
