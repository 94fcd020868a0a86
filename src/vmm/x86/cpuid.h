/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU answers to CPUID: what KVM offers, made consistent with the machine
 * (contract, 2.5).
 *
 * Pure functions on a table; no KVM call. The table is sorted by nobody and may hold
 * an entry twice: KVM answers with the first, so all of a kind are changed. Its
 * allocation has room for CPUID_ENTRIES_MAX entries.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "vmm/x86/host_cpu.h"

struct kvm_cpuid2;
struct kvm_cpuid_entry2;

enum { CPUID_ENTRIES_MAX = 256 }; /* KVM takes no more */

struct cpuid_topology {
	unsigned vcpu;	 /* index, and initial APIC id; below nvcpus */
	unsigned nvcpus; /* 1 to 32 */
	bool smt;	 /* two threads a core, unless there is only one vCPU */
};

/* The i-th entry that answers for a leaf and sub-leaf; NULL: no more. */
must_check struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t leaf,
					       uint32_t subleaf, unsigned i);

/*
 * Changes the table of one vCPU in place; the result may be changed again for another
 * vCPU. -ENOENT: KVM offers no processor at all; -E2BIG: no room for what is missing.
 */
must_check int cpuid_normalise(struct kvm_cpuid2 *cpuid, const struct host_cpu *host,
			       const struct cpuid_topology *topo, struct err *e);
