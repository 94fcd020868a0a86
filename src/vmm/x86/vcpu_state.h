/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that KVM knows of one vCPU but its TSC (time_state.h), to records of a snapshot and
 * back.
 *
 * The order is the whole of it. Saving: the state of the processor in the multiprocessor
 * first, because asking for it makes KVM take events that change the rest. Loading: CPUID
 * before registers, because it decides which there are; the local APIC before the MSRs,
 * because a deadline timer is armed only in an APIC that is in that mode; events last. The
 * TSC is loaded before all this: the deadline counts in it.
 *
 * Main thread, which may enter any vCPU that is parked. Loading: before its thread runs.
 */
#pragma once

#include "base/err.h"
#include "vmm/kvm.h"
#include "vmm/snapshot_records.h"

/* Names of the records, each with the vCPU's index as its instance. */
#define VCPU_STATE_RECORDS                                                                   \
	"vcpu-cpuid", "vcpu-mp-state", "vcpu-regs", "vcpu-sregs", "vcpu-xsave", "vcpu-xcrs", \
		"vcpu-debugregs", "vcpu-lapic", "vcpu-msrs", "vcpu-events"

struct kvm_msr_list;

struct vcpu_host { /* what the host's KVM has, asked once for all vCPUs */
	size_t xsave_size;
	bool has_xcrs;
	struct kvm_msr_list *msrs; /* owned; to be saved */
};

must_check int vcpu_host_init(const struct kvm *kvm, int vm_fd, struct vcpu_host *ret,
			      struct err *e);
void vcpu_host_fini(struct vcpu_host *host);

must_check int vcpu_state_save(const struct vcpu_host *host, int vcpu_fd, unsigned index,
			       struct snap_out *out, struct err *e);
must_check int vcpu_state_load(const struct vcpu_host *host, int vcpu_fd, unsigned index,
			       struct snap_in *in, struct err *e);
