/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/kvm: is it there, may we use it, can it do what the machine needs.
 *
 * Main thread only, before the filter.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

struct conf_cpu;
struct kvm_cpuid2;

struct kvm {
	int fd;		 /* owned */
	size_t run_size; /* of the mapping each vCPU shares with KVM */
	unsigned max_vcpus;
};

/* Opens and checks. Every error says what is missing and what to do. */
must_check int kvm_open(struct kvm *ret_kvm, struct err *e);

/* The same with the capabilities that a CPU template (NULL: none) adds and removes. */
must_check int kvm_open_with(const struct conf_cpu *cpu, struct kvm *ret_kvm, struct err *e);
void kvm_close(struct kvm *kvm);

/*
 * What the host's processor and KVM offer to a guest; freed with free(). There is room
 * for CPUID_ENTRIES_MAX entries (x86/cpuid.h).
 */
must_check int kvm_supported_cpuid(const struct kvm *kvm, struct kvm_cpuid2 **ret_cpuid,
				   struct err *e);
