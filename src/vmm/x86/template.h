/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU templates: the one that counts for a machine, and what it does to the CPUID
 * table that KVM offers (contract, 4.5). MSRs are the business of msr.h.
 *
 * Main thread, while the machine is built.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/config.h"
#include "vmm/x86/host_cpu.h"

struct kvm_cpuid2;

/*
 * The custom template of the configuration, or the static one that it names if the
 * host's processor is of a model that it is meant for; without either one that
 * changes nothing.
 */
must_check int template_choose(const struct conf_config *conf, const struct host_cpu *host,
			       struct conf_cpu *ret, struct err *e);

/* Every entry that the template changes must be there. */
must_check int template_apply(const struct conf_cpu *t, struct kvm_cpuid2 *cpuid, struct err *e);
