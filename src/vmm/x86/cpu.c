/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/cpu.h"

#include <linux/kvm.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/regs.h"
#include "vmm/x86/template.h"

struct cpu {
	struct host_cpu host;
	struct conf_cpu template;
	struct kvm_cpuid2 *cpuid; /* owned; of the vCPU that was set up last */
	unsigned nvcpus;
	bool smt;
};

void cpu_permit(void)
{
	int r = host_cpu_permit_amx();

	if (r < 0)
		log_warn("the guest will have no AMX: arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM): %s",
			 strerror(-r));
}

static int prepare(struct cpu *cpu, const struct kvm *kvm, const struct conf_config *conf,
		   struct err *e)
{
	int r;

	host_cpu_read(&cpu->host);
	r = template_choose(conf, &cpu->host, &cpu->template, e);
	if (r < 0)
		return r;
	/* KVM offers to guests what this process has leave to use. */
	cpu_permit();
	r = kvm_supported_cpuid(kvm, &cpu->cpuid, e);
	return r < 0 ? r : template_apply(&cpu->template, cpu->cpuid, e);
}

int cpu_create(const struct kvm *kvm, const struct conf_config *conf, struct cpu **ret_cpu,
	       struct err *e)
{
	auto_cpu struct cpu *cpu = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*cpu));
	int r;

	if (!cpu)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "processor: out of memory");
	cpu->nvcpus = conf->machine.vcpu_count;
	cpu->smt = conf->machine.smt;
	r = prepare(cpu, kvm, conf, e);
	if (r < 0)
		return r;
	*ret_cpu = take_ptr(&cpu);
	return 0;
}

void cpu_destroy(struct cpu *cpu)
{
	if (!cpu)
		return;
	free(cpu->cpuid);
	free(cpu);
}

int cpu_set_up(struct cpu *cpu, unsigned vcpu, int vcpu_fd, const struct kernel_image *kernel,
	       struct err *e)
{
	const struct cpuid_topology topo = {
		.vcpu = vcpu,
		.nvcpus = cpu->nvcpus,
		.smt = cpu->smt,
	};
	const struct regs_cfg regs = {
		.cpuid = cpu->cpuid,
		.template = &cpu->template,
		.kernel = kernel,
	};
	/* In place for one after the other: every field that differs is set anew. */
	int r = cpuid_normalise(cpu->cpuid, &cpu->host, &topo, e);

	if (r == 0)
		r = regs_set_up(vcpu_fd, &regs, e);
	return r < 0 ? err_wrap(e, "vCPU %u", vcpu) : 0;
}
