/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's model specific registers in a snapshot: all that KVM lists, its own ones
 * (0x4b564d00 and on) among them but without Hyper-V's and the TSC, and the MTRRs, which it
 * does not list. Main thread.
 */
#pragma once

#include "base/err.h"
#include "vmm/kvm.h"
#include "vmm/snapshot_records.h"

struct kvm_msr_list;

/* What to save on this host; the deadline of the timer is the last. Freed with free(). */
must_check int msr_state_list(const struct kvm *kvm, struct kvm_msr_list **ret, struct err *e);

/* A register of the list that this VM does not have is left out. */
must_check int msr_state_save(const struct kvm_msr_list *list, int vcpu_fd, unsigned index,
			      struct snap_out *out, struct err *e);

/*
 * One that the host refuses is an error, unless it has that value anyway. A timer that
 * was not armed fires once: it may have fired and not been delivered.
 */
must_check int msr_state_load(int vcpu_fd, unsigned index, struct snap_in *in, struct err *e);
