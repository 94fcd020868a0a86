/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU answers to CPUID: what KVM offers, made consistent with the machine.
 *
 * Pure functions on a table; no KVM call. The table is sorted by nobody: an entry is
 * found by leaf and, where KVM says that it matters, by sub-leaf.
 */
#pragma once

#include "base/cc.h"

struct kvm_cpuid2;

struct cpuid_topology {
	unsigned vcpu; /* index, and initial APIC id */
	unsigned nvcpus;
	bool smt; /* two threads a core */
};

/* Changes the table of one vCPU in place. */
void cpuid_normalise(struct kvm_cpuid2 *cpuid, const struct cpuid_topology *topo);
