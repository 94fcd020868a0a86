/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor that all vCPUs of a machine are: what the host offers, changed by the
 * CPU template (contract, 2.5). Each vCPU then differs in its APIC id alone.
 *
 * Main thread, while the machine is built; not needed afterwards.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/config.h"
#include "vmm/kvm.h"
#include "vmm/loader.h"

struct cpu;

/*
 * Lets guests of this process use what Linux gives on request only (AMX). Before the first
 * vCPU; cpu_create() does it by itself.
 */
void cpu_permit(void);

/* Before the first vCPU of the process. */
must_check int cpu_create(const struct kvm *kvm, const struct conf_config *conf,
			  struct cpu **ret_cpu, struct err *e);
void cpu_destroy(struct cpu *cpu);

static inline void cpu_destroy_at_(struct cpu **cpu)
{
	cpu_destroy(*cpu);
}
#define auto_cpu cleanup_with(cpu_destroy_at_)

/* The state of one vCPU, of which nothing has run yet, when the kernel is entered. */
must_check int cpu_set_up(struct cpu *cpu, unsigned vcpu, int vcpu_fd,
			  const struct kernel_image *kernel, struct err *e);
