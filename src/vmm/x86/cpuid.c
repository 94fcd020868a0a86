/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/cpuid.h"

#include <linux/kvm.h>
#include <string.h>

/* Bits and fields of the Intel SDM vol. 2, CPUID, and AMD APM vol. 3, appendix E. */
#define LEAF1_ECX_VMX		    (1u << 5)
#define LEAF1_ECX_PDCM		    (1u << 15)
#define LEAF1_ECX_TSC_DEADLINE	    (1u << 24)
#define LEAF1_ECX_HYPERVISOR	    (1u << 31)
#define LEAF1_EDX_HTT		    (1u << 28)
#define LEAF6_EAX_TURBO		    (1u << 1)
#define LEAF6_ECX_EPB		    (1u << 3)
#define LEAF7_ECX_WAITPKG	    (1u << 5)
#define LEAF7_EDX_ARCH_CAPABILITIES (1u << 29)
#define EXT1_ECX_SVM		    (1u << 2)
#define EXT1_ECX_TOPOEXT	    (1u << 22)

enum { CORE_SHIFT = 5, MAX_LOGICAL = 1 << CORE_SHIFT }; /* room for 32 vCPUs in an APIC id */
enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };

static unsigned threads(const struct cpuid_topology *t)
{
	return t->smt ? 2 : 1;
}

static uint32_t set_field(uint32_t reg, unsigned high, unsigned low, uint32_t value)
{
	uint32_t mask = (uint32_t)((UINT64_C(1) << (high + 1)) - (UINT64_C(1) << low));

	return (reg & ~mask) | (value << low & mask);
}

static bool is_amd(const struct kvm_cpuid2 *c)
{
	for (unsigned i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0) /* "AuthenticAMD" or "HygonGenuine" */
			return e->ebx == 0x68747541 || e->ebx == 0x6f677948;
	}
	return false;
}

static void features(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	e->ebx = set_field(e->ebx, 15, 8, 8); /* CLFLUSH: 8 quadwords */
	e->ebx = set_field(e->ebx, 23, 16, t->nvcpus > 1 ? t->nvcpus : 1);
	e->ebx = set_field(e->ebx, 31, 24, t->vcpu);
	e->ecx &= ~(LEAF1_ECX_VMX | LEAF1_ECX_PDCM);
	e->ecx |= LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR;
	e->edx = t->nvcpus > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
}

/* Intel: who shares each cache. The last level is everybody's, others a core's. */
static void cache_sharing(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	unsigned level = e->eax >> 5 & 7;

	if ((e->eax & 0x1f) == 0) /* no more caches */
		return;
	e->eax = set_field(e->eax, 25, 14, (level >= 3 ? MAX_LOGICAL : threads(t)) - 1);
	e->eax = set_field(e->eax, 31, 26, MAX_LOGICAL / threads(t) - 1);
}

/* Leaves 0xb and 0x1f. */
static void extended_topology(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = t->vcpu;
	if (e->index == 0) {
		e->eax = threads(t) - 1; /* bits of the APIC id below the core's */
		e->ebx = threads(t);
		e->ecx |= LEVEL_SMT << 8;
	} else if (e->index == 1) {
		e->eax = CORE_SHIFT;
		e->ebx = t->nvcpus;
		e->ecx |= LEVEL_CORE << 8;
	}
}

static void amd_cache_sharing(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	unsigned level = e->eax >> 5 & 7;

	if ((e->eax & 0x1f) == 0)
		return;
	e->eax = set_field(e->eax, 25, 14, level >= 3 ? t->nvcpus - 1 : threads(t) - 1);
}

static void amd_core(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	e->eax = t->vcpu; /* extended APIC id */
	e->ebx = (t->vcpu / threads(t)) | (threads(t) - 1) << 8;
	e->ecx = 0; /* one node, number 0 */
}

static void brand(struct kvm_cpuid_entry2 *e, bool amd)
{
	/* Bytes nobody uses are NUL; the frequency of the host is none of the guest's. */
	static const char amd_name[48] = "AMD EPYC";
	static const char intel_name[48] = "Intel(R) Xeon(R) Processor";
	const char *part = (amd ? amd_name : intel_name) + 16 * (e->function - 0x80000002);

	memcpy(&e->eax, part, 4);
	memcpy(&e->ebx, part + 4, 4);
	memcpy(&e->ecx, part + 8, 4);
	memcpy(&e->edx, part + 12, 4);
}

static void leaf7(struct kvm_cpuid_entry2 *e, bool amd)
{
	if (e->index != 0)
		return;
	if (amd)
		e->edx &= ~LEAF7_EDX_ARCH_CAPABILITIES;
	else
		e->ecx &= ~LEAF7_ECX_WAITPKG;
}

static void entry(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t, bool amd)
{
	switch (e->function) {
	case 0x1:
		features(e, t);
		break;
	case 0x4:
		if (!amd)
			cache_sharing(e, t);
		break;
	case 0x6:
		e->eax &= ~LEAF6_EAX_TURBO;
		e->ecx &= ~LEAF6_ECX_EPB;
		break;
	case 0x7:
		leaf7(e, amd);
		break;
	case 0xa: /* no performance counters */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0xb:
	case 0x1f:
		extended_topology(e, t);
		break;
	case 0x80000001:
		e->ecx &= ~EXT1_ECX_SVM;
		if (amd)
			e->ecx |= EXT1_ECX_TOPOEXT;
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		brand(e, amd);
		break;
	case 0x80000008:
		if (amd) { /* bits of an APIC id that number a core; threads less one */
			e->ecx = set_field(e->ecx, 15, 12, CORE_SHIFT);
			e->ecx = set_field(e->ecx, 7, 0, t->nvcpus - 1);
		}
		break;
	case 0x8000001d:
		amd_cache_sharing(e, t);
		break;
	case 0x8000001e:
		amd_core(e, t);
		break;
	default:
		break;
	}
}

void cpuid_normalise(struct kvm_cpuid2 *cpuid, const struct cpuid_topology *topo)
{
	bool amd = is_amd(cpuid);

	for (unsigned i = 0; i < cpuid->nent; i++)
		entry(&cpuid->entries[i], topo, amd);
}
