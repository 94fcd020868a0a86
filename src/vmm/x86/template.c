/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/template.h"

#include <linux/kvm.h>
#include <string.h>

#include "vmm/x86/cpuid.h"
#include "vmm/x86/template_static.h"

static bool is_model(const struct host_cpu_model *a, const struct host_cpu_model *b)
{
	return a->family == b->family && a->model == b->model && a->stepping == b->stepping;
}

static int check_host(const struct template_static *t, const struct host_cpu *host, struct err *e)
{
	struct host_cpu_model model = host_cpu_model(host);

	if (host_cpu_vendor(host) != t->vendor)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "CPU vendor mismatched between actual CPU and CPU template.");
	for (unsigned i = 0; i < t->nmodels; i++)
		if (is_model(&t->models[i], &model))
			return 0;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "The current CPU model is not permitted to apply the CPU template.");
}

int template_choose(const struct conf_config *conf, const struct host_cpu *host,
		    struct conf_cpu *ret, struct err *e)
{
	enum conf_cpu_template name = conf->machine.cpu_template;
	const struct template_static *t;
	int r;

	if (conf->has_cpu) {
		*ret = conf->cpu;
		return 0;
	}
	memset(ret, 0, sizeof(*ret));
	if (name == CONF_CPU_TEMPLATE_NONE)
		return 0;
	t = template_static(name);
	r = check_host(t, host, e);
	if (r < 0)
		return err_wrap(e, "Failed to get CPU template");
	memcpy(ret->leaf, t->leaves, t->nleaves * sizeof(t->leaves[0]));
	ret->nleaves = t->nleaves;
	if (t->nmsrs > 0)
		memcpy(ret->msr, t->msrs, t->nmsrs * sizeof(t->msrs[0]));
	ret->nmsrs = t->nmsrs;
	return 0;
}

static uint32_t changed(uint32_t reg, const struct conf_cpu_bits *bits)
{
	return (reg & ~bits->mask) | bits->value;
}

static void change(struct kvm_cpuid_entry2 *entry, const struct conf_cpu_leaf *l)
{
	entry->flags = l->flags;
	entry->eax = changed(entry->eax, &l->reg[CONF_CPU_EAX]);
	entry->ebx = changed(entry->ebx, &l->reg[CONF_CPU_EBX]);
	entry->ecx = changed(entry->ecx, &l->reg[CONF_CPU_ECX]);
	entry->edx = changed(entry->edx, &l->reg[CONF_CPU_EDX]);
}

int template_apply(const struct conf_cpu *t, struct kvm_cpuid2 *cpuid, struct err *e)
{
	for (unsigned i = 0; i < t->nleaves; i++) {
		const struct conf_cpu_leaf *l = &t->leaf[i];
		struct kvm_cpuid_entry2 *entry;
		unsigned n = 0;

		while ((entry = cpuid_find(cpuid, l->leaf, l->subleaf, n)) != NULL) {
			change(entry, l);
			n++;
		}
		if (n == 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "Template changes a CPUID entry not supported by KVM: "
				       "Leaf: %#x, Subleaf: %#x",
				       l->leaf, l->subleaf);
	}
	return 0;
}
