/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's model specific registers when the guest's first instruction runs
 * (contract, 2.5): the boot values, then what a CPU template changes.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/cpu.h"

struct kvm_msr_entry;

/* The registers that every vCPU starts with. */
must_check unsigned msr_boot(const struct kvm_msr_entry **ret_entries);

/* entries[i] is the register of t->msr[i]: its value becomes what the template makes of it. */
void msr_modify(const struct conf_cpu *t, struct kvm_msr_entry *entries);

/*
 * Main thread, before the vCPU thread runs and after KVM_SET_CPUID2, which decides
 * what registers there are. `t': NULL is no template. An error names the register.
 */
must_check int msr_set_up(int vcpu_fd, const struct conf_cpu *t, struct err *e);
