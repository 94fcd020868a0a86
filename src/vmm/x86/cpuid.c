/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/cpuid.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

/* Bits and fields of the Intel SDM vol. 2, CPUID, and AMD APM vol. 3, appendix E. */
#define LEAF1_ECX_VMX		    (1u << 5)
#define LEAF1_ECX_PDCM		    (1u << 15)
#define LEAF1_ECX_TSC_DEADLINE	    (1u << 24)
#define LEAF1_ECX_HYPERVISOR	    (1u << 31)
#define LEAF1_EDX_HTT		    (1u << 28)
#define LEAF6_EAX_TURBO		    (1u << 1)
#define LEAF6_ECX_EPB		    (1u << 3)
#define LEAF7_EBX_FDP_EXCPTN_ONLY   (1u << 6)
#define LEAF7_EBX_ZERO_FCS_FDS	    (1u << 13)
#define LEAF7_ECX_WAITPKG	    (1u << 5)
#define LEAF7_EDX_ARCH_CAPABILITIES (1u << 29)
#define EXT1_ECX_SVM		    (1u << 2)
#define EXT1_ECX_SKINIT		    (1u << 12)
#define EXT1_ECX_TOPOEXT	    (1u << 22)
#define EXT1_ECX_PERFCTR	    (1u << 23 | 1u << 24 | 1u << 28) /* core, NB, L3 */

#define EXT_FIRST    0x80000000
#define EXT_FEATURES 0x80000001
#define EXT_BRAND    0x80000002 /* to 4 */
#define EXT_L1	     0x80000005
#define EXT_L2L3     0x80000006
#define EXT_SIZES    0x80000008
#define EXT_SVM	     0x8000000a
#define EXT_CACHES   0x8000001d
#define EXT_APIC_ID  0x8000001e
#define EXT_PERFMON  0x80000022
#define EXT_TOPOLOGY 0x80000026

enum { CORE_SHIFT = 5 }; /* room for 32 vCPUs in an APIC id */
enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };
enum { CACHE_TYPE_MASK = 0x1f };

/* What the rules need to know beside the entry itself. */
struct rules {
	const struct host_cpu *host;
	enum host_cpu_vendor vendor;
	const struct cpuid_topology *topo;
	unsigned threads;     /* of a core */
	unsigned addressable; /* APIC ids of the package: a power of two */
	char brand[HOST_CPU_BRAND_LEN + 1];
};

static uint32_t set_field(uint32_t reg, unsigned high, unsigned low, uint32_t value)
{
	uint32_t mask = (uint32_t)((UINT64_C(1) << (high + 1)) - (UINT64_C(1) << low));

	return (reg & ~mask) | (value << low & mask);
}

/* --- finding and adding entries ---------------------------------------------- */

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf,
				    unsigned i)
{
	for (unsigned at = 0; at < cpuid->nent; at++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[at];

		if (e->function == leaf && e->index == subleaf && i-- == 0)
			return e;
	}
	return NULL;
}

static bool has(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	return cpuid_find(cpuid, leaf, subleaf, 0);
}

/* Nothing if it is there already. `indexed': the leaf has sub-leaves. */
static int add(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf, bool indexed,
	       struct cpuid_regs regs, struct err *e)
{
	if (has(cpuid, leaf, subleaf))
		return 0;
	if (cpuid->nent >= CPUID_ENTRIES_MAX)
		return err_set(e, ERR_INTERNAL, -E2BIG,
			       "CPUID table: no room for leaf %#x: it has %u entries already", leaf,
			       cpuid->nent);
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = regs.eax,
		.ebx = regs.ebx,
		.ecx = regs.ecx,
		.edx = regs.edx,
	};
	return 0;
}

static int add_plain(struct kvm_cpuid2 *cpuid, uint32_t leaf, struct err *e)
{
	return add(cpuid, leaf, 0, false, (struct cpuid_regs){ 0 }, e);
}

static int add_amd(struct kvm_cpuid2 *cpuid, const struct host_cpu *host, struct err *e)
{
	static const uint32_t leaves[] = { EXT_FIRST, EXT_FEATURES, EXT_SIZES, EXT_APIC_ID };
	bool has_caches = has(cpuid, EXT_CACHES, 0);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(leaves); i++)
		r = add_plain(cpuid, leaves[i], e);
	for (unsigned i = 0; r == 0 && !has_caches && i < host->ncaches; i++)
		r = add(cpuid, EXT_CACHES, i, true, host->cache[i], e);
	return r;
}

/* What a guest needs and not every KVM offers. */
static int add_missing(struct kvm_cpuid2 *cpuid, const struct rules *rules, struct err *e)
{
	static const uint32_t topology[] = { 0xb, 0x1f };
	int r = 0;

	if (!has(cpuid, 1, 0))
		return err_set(e, ERR_INTERNAL, -ENOENT, "KVM offers no CPUID leaf 0x1");
	/* Since Linux 6.2 KVM leaves the host's topology out, and sub-leaf 1 with it. */
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(topology); i++)
		if (has(cpuid, topology[i], 0))
			r = add(cpuid, topology[i], 1, true, (struct cpuid_regs){ 0 }, e);
	for (uint32_t leaf = EXT_BRAND; r == 0 && leaf <= EXT_L2L3; leaf++)
		if (leaf <= rules->host->max_extended)
			r = add_plain(cpuid, leaf, e);
	if (r == 0 && rules->vendor == HOST_CPU_AMD)
		r = add_amd(cpuid, rules->host, e);
	return r;
}

/* --- rules for all ------------------------------------------------------------- */

static void set_regs(struct kvm_cpuid_entry2 *e, struct cpuid_regs r)
{
	e->eax = r.eax;
	e->ebx = r.ebx;
	e->ecx = r.ecx;
	e->edx = r.edx;
}

static void features(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	const struct cpuid_topology *t = rules->topo;

	e->ebx = set_field(e->ebx, 15, 8, 8); /* CLFLUSH: 8 quadwords */
	e->ebx = set_field(e->ebx, 23, 16, rules->addressable);
	e->ebx = set_field(e->ebx, 31, 24, t->vcpu);
	e->ecx &= ~(LEAF1_ECX_VMX | LEAF1_ECX_PDCM);
	e->ecx |= LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR;
	e->edx = t->nvcpus > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
}

/* Leaves 0xb and 0x1f. */
static void extended_topology(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = rules->topo->vcpu;
	if (e->index == 0) {
		e->eax = rules->threads - 1; /* bits of the APIC id below the core's */
		e->ebx = rules->threads;
		e->ecx |= LEVEL_SMT << 8;
	} else if (e->index == 1) {
		e->eax = CORE_SHIFT;
		e->ebx = rules->topo->nvcpus;
		e->ecx |= LEVEL_CORE << 8;
	}
}

static void brand(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	struct cpuid_regs part;

	memcpy(&part, rules->brand + sizeof(part) * (e->function - EXT_BRAND), sizeof(part));
	set_regs(e, part);
}

static void common(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	switch (e->function) {
	case 0x0:
		e->ebx = rules->host->id.ebx;
		e->ecx = rules->host->id.ecx;
		e->edx = rules->host->id.edx;
		break;
	case 0x1:
		features(e, rules);
		break;
	case 0xa: /* no performance counters */
	case EXT_PERFMON:
	case EXT_SVM:	   /* no nested virtualisation */
	case EXT_TOPOLOGY: /* the host's */
		set_regs(e, (struct cpuid_regs){ 0 });
		break;
	case 0xb:
	case 0x1f:
		extended_topology(e, rules);
		break;
	case EXT_FEATURES:
		e->ecx &= ~(EXT1_ECX_SVM | EXT1_ECX_SKINIT | EXT1_ECX_PERFCTR);
		break;
	case EXT_BRAND:
	case EXT_BRAND + 1:
	case EXT_BRAND + 2:
		brand(e, rules);
		break;
	case EXT_L1:
		set_regs(e, rules->host->l1);
		break;
	case EXT_L2L3:
		set_regs(e, rules->host->l2l3);
		break;
	default:
		break;
	}
}

/* --- Intel ----------------------------------------------------------------------- */

/* Who shares each cache. The last level is everybody's, others a core's. */
static void intel_cache(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	unsigned level = e->eax >> 5 & 7;
	unsigned sharing = level >= 3 ? rules->addressable : rules->threads;

	if ((e->eax & CACHE_TYPE_MASK) == 0) /* no more caches */
		return;
	e->eax = set_field(e->eax, 25, 14, sharing - 1);
	e->eax = set_field(e->eax, 31, 26, rules->addressable / rules->threads - 1);
}

static void intel(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	switch (e->function) {
	case 0x4:
		intel_cache(e, rules);
		break;
	case 0x6:
		e->eax &= ~LEAF6_EAX_TURBO;
		e->ecx &= ~LEAF6_ECX_EPB;
		break;
	case 0x7:
		if (e->index != 0)
			break;
		/* Both say what the processor no longer does: set, they hold anywhere. */
		e->ebx |= LEAF7_EBX_FDP_EXCPTN_ONLY | LEAF7_EBX_ZERO_FCS_FDS;
		e->ecx &= ~LEAF7_ECX_WAITPKG;
		break;
	default:
		break;
	}
}

/* --- AMD --------------------------------------------------------------------------- */

static void amd_cache(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	unsigned level = e->eax >> 5 & 7;

	if ((e->eax & CACHE_TYPE_MASK) == 0)
		return;
	e->eax = set_field(e->eax, 25, 14, (level >= 3 ? rules->topo->nvcpus : rules->threads) - 1);
}

static void amd_apic_id(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	unsigned vcpu = rules->topo->vcpu;

	e->eax = vcpu;						    /* extended APIC id */
	e->ebx = vcpu / rules->threads | (rules->threads - 1) << 8; /* core, its threads */
	e->ecx = 0;						    /* one node, number 0 */
}

static void amd(struct kvm_cpuid_entry2 *e, const struct rules *rules)
{
	switch (e->function) {
	case 0x7:
		if (e->index == 0) /* KVM's own; the processor has no such MSR */
			e->edx &= ~LEAF7_EDX_ARCH_CAPABILITIES;
		break;
	case EXT_FIRST: /* the guest is to find the leaves of EXT1_ECX_TOPOEXT */
		e->eax = e->eax < EXT_APIC_ID ? EXT_APIC_ID : e->eax;
		break;
	case EXT_FEATURES:
		e->ecx |= EXT1_ECX_TOPOEXT;
		break;
	case EXT_SIZES: /* bits of an APIC id within the package; threads less one */
		e->ecx = set_field(e->ecx, 15, 12, CORE_SHIFT);
		e->ecx = set_field(e->ecx, 7, 0, rules->topo->nvcpus - 1);
		break;
	case EXT_CACHES:
		amd_cache(e, rules);
		break;
	case EXT_APIC_ID:
		amd_apic_id(e, rules);
		break;
	default:
		break;
	}
}

/* --- the whole ---------------------------------------------------------------------- */

/* One name for all models, so that a guest which moves keeps it; unused bytes are NUL. */
static void choose_brand(struct rules *rules)
{
	char frequency[HOST_CPU_FREQUENCY_MAX];

	switch (rules->vendor) {
	case HOST_CPU_INTEL:
		host_cpu_frequency(rules->host, frequency);
		snprintf(rules->brand, sizeof(rules->brand), "Intel(R) Xeon(R) Processor%s%s",
			 frequency[0] ? " @ " : "", frequency);
		break;
	case HOST_CPU_AMD:
		snprintf(rules->brand, sizeof(rules->brand), "AMD EPYC");
		break;
	case HOST_CPU_OTHER:
		memcpy(rules->brand, rules->host->brand, sizeof(rules->brand));
		break;
	}
}

static unsigned power_of_two(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

int cpuid_normalise(struct kvm_cpuid2 *cpuid, const struct host_cpu *host,
		    const struct cpuid_topology *topo, struct err *e)
{
	struct rules rules = {
		.host = host,
		.vendor = host_cpu_vendor(host),
		.topo = topo,
		.threads = topo->smt && topo->nvcpus > 1 ? 2 : 1,
		.addressable = power_of_two(topo->nvcpus),
	};
	int r;

	choose_brand(&rules);
	r = add_missing(cpuid, &rules, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		common(entry, &rules);
		if (rules.vendor == HOST_CPU_INTEL)
			intel(entry, &rules);
		else if (rules.vendor == HOST_CPU_AMD)
			amd(entry, &rules);
	}
	return 0;
}
