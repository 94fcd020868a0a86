/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/template.h"

#include <stdio.h>

#include "cpu_tables.h"
#include "test.h"
#include "vmm/x86/msr.h"
#include "vmm/x86/template_static.h"

static union cpu_room c;
static struct conf_config conf;
static struct conf_cpu cpu;
static struct host_cpu host;
static struct err e;

static struct conf_cpu_leaf *add_leaf(uint32_t leaf, uint32_t subleaf, uint32_t flags)
{
	struct conf_cpu_leaf *l = &cpu.leaf[cpu.nleaves++];

	*l = (struct conf_cpu_leaf){ .leaf = leaf, .subleaf = subleaf, .flags = flags };
	return l;
}

static struct cpuid_regs leaf(uint32_t function, uint32_t index)
{
	return cpu_regs(&c, function, index);
}

/* --- applying ------------------------------------------------------------------------ */

TEST(bits_are_set_cleared_and_kept)
{
	struct conf_cpu_leaf *l = add_leaf(7, 0, IDX);

	l->reg[CONF_CPU_EBX] = (struct conf_cpu_bits){ .mask = 0xffff, .value = 0x00f0 };
	l->reg[CONF_CPU_EDX] = (struct conf_cpu_bits){ .mask = 1, .value = 1 };
	cpu_load(&ice_lake, &c);
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
	CHECK_EQ(leaf(7, 0).ebx, 0xf1bf00f0);
	CHECK_EQ(leaf(7, 0).edx, 0xac000411);
	CHECK_EQ(leaf(7, 0).ecx, 0x40405f6e);
	CHECK_EQ(leaf(7, 0).eax, 0);
	CHECK_EQ(c.cpuid.nent, ice_lake.n);
}

TEST(sub_leaf_flags_and_order)
{
	add_leaf(4, 2, 0)->reg[CONF_CPU_ECX] = (struct conf_cpu_bits){ 0xf, 0x1 };
	add_leaf(4, 2, IDX | 2)->reg[CONF_CPU_ECX] = (struct conf_cpu_bits){ 0x3, 0x2 };
	cpu_load(&ice_lake, &c);
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
	CHECK_EQ(leaf(4, 2).ecx, 0x3f2);
	CHECK_EQ(cpuid_find(&c.cpuid, 4, 2, 0)->flags, IDX | 2);
	CHECK_EQ(leaf(4, 1).ecx, 0x3f);
}

TEST(all_of_a_kind)
{
	add_leaf(1, 0, 0)->reg[CONF_CPU_EDX] = (struct conf_cpu_bits){ ~0u, 0x5 };
	cpu_load(&ice_lake, &c);
	c.cpuid.entries[c.cpuid.nent++] = c.cpuid.entries[1];
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
	CHECK_EQ(cpuid_find(&c.cpuid, 1, 0, 0)->edx, 5);
	CHECK_EQ(cpuid_find(&c.cpuid, 1, 0, 1)->edx, 5);
}

TEST(leaf_that_kvm_does_not_offer)
{
	add_leaf(0x7, 0, IDX);
	add_leaf(0x7, 0x1f, IDX);
	cpu_load(&ice_lake, &c);
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), -EINVAL);
	CHECK(strcmp(e.msg, "Template changes a CPUID entry not supported by KVM: Leaf: 0x7, "
			    "Subleaf: 0x1f") == 0);
}

/* What normalisation sets is out of a template's reach; the rest of the leaf is not. */
TEST(normalisation_comes_after)
{
	const struct cpuid_topology topo = { .vcpu = 1, .nvcpus = 2 };
	struct conf_cpu_leaf *l = add_leaf(1, 0, 0);

	host = cpu_host(&ice_lake);
	l->reg[CONF_CPU_EBX] = (struct conf_cpu_bits){ ~0u, 0 };
	l->reg[CONF_CPU_ECX] = (struct conf_cpu_bits){ ~0u, 1u << 5 };
	cpu_load(&ice_lake, &c);
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
	CHECK_EQ(cpuid_normalise(&c.cpuid, &host, &topo, &e), 0);
	CHECK_EQ(leaf(1, 0).ebx, 0x01020800);
	CHECK_EQ(leaf(1, 0).ecx, 1u << 24 | 1u << 31);
}

/* --- choosing -------------------------------------------------------------------------- */

static int choose(enum conf_cpu_template name, const struct cpu_table *t, uint32_t signature)
{
	conf.machine.cpu_template = name;
	host = cpu_host(t);
	if (signature)
		host.signature = signature;
	e = (struct err){ 0 };
	return template_choose(&conf, &host, &cpu, &e);
}

#define FAILED "Failed to get CPU template: "
#define VENDOR FAILED "CPU vendor mismatched between actual CPU and CPU template."
#define MODEL  FAILED "The current CPU model is not permitted to apply the CPU template."

enum {
	SKYLAKE = 0x50654,
	CASCADE_LAKE_B0 = 0x50656,
	CASCADE_LAKE = 0x50657,
	ICE_LAKE = 0x606a6,
	SAPPHIRE_RAPIDS = 0x806f8,
	MILAN = 0xa00f11,
	GENOA = 0xa10f11,
};

TEST(models_of_static_templates)
{
	static const struct {
		enum conf_cpu_template name;
		uint32_t signature;
		int code;
		const char *msg;
	} cases[] = {
		{ CONF_CPU_TEMPLATE_T2, SKYLAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2, CASCADE_LAKE_B0, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_T2, CASCADE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2, ICE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2, SAPPHIRE_RAPIDS, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_C3, SKYLAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_C3, CASCADE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_C3, ICE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_C3, SAPPHIRE_RAPIDS, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_T2S, ICE_LAKE, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_T2S, SKYLAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2S, CASCADE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2CL, SKYLAKE, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_T2CL, CASCADE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2CL, ICE_LAKE, 0, "" },
		{ CONF_CPU_TEMPLATE_T2CL, SAPPHIRE_RAPIDS, -EINVAL, MODEL },
		{ CONF_CPU_TEMPLATE_T2A, ICE_LAKE, -EINVAL, VENDOR },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(choose(cases[i].name, &ice_lake, cases[i].signature), cases[i].code);
		if (strcmp(e.msg, cases[i].msg) != 0)
			fprintf(stderr, "# %u: %s\n", i, e.msg);
		CHECK(strcmp(e.msg, cases[i].msg) == 0);
	}
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2A, &milan, MILAN), 0);
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2A, &milan, GENOA), -EINVAL);
	CHECK(strcmp(e.msg, MODEL) == 0);
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2, &milan, MILAN), -EINVAL);
	CHECK(strcmp(e.msg, VENDOR) == 0);
}

TEST(none_and_custom)
{
	memset(&cpu, 0xff, sizeof(cpu));
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_NONE, &milan, 0), 0);
	CHECK_EQ(cpu.nleaves + cpu.nmsrs + cpu.ncapabilities, 0);
	conf.has_cpu = true;
	conf.cpu.nmsrs = 1;
	conf.cpu.msr[0].addr = 0x10a;
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_NONE, &milan, 0), 0);
	CHECK_EQ(cpu.nmsrs, 1);
	CHECK_EQ(cpu.msr[0].addr, 0x10a);
}

/* --- what static templates leave over ------------------------------------------------- */

/* All bits set, so that what a template clears shows. */
static void load_ones(const struct cpu_table *t)
{
	cpu_load(t, &c);
	for (unsigned i = 0; i < c.cpuid.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &c.cpuid.entries[i];

		entry->eax = entry->ebx = entry->ecx = entry->edx = UINT32_MAX;
	}
	CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
}

TEST(t2_is_a_haswell)
{
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2, &ice_lake, 0), 0);
	CHECK_EQ(cpu.nmsrs, 0);
	load_ones(&ice_lake);
	CHECK_EQ(leaf(1, 0).eax & 0x0fff3fff, 0x306f2);
	CHECK_EQ(leaf(1, 0).eax & ~0x0fff3fffu, 0xf000c000);
	/* What Haswell has stays: FMA, MOVBE, AVX2, BMI, INVPCID, ERMS. */
	CHECK(leaf(1, 0).ecx & 1u << 12 && leaf(1, 0).ecx & 1u << 22);
	CHECK_EQ(leaf(7, 0).ebx & (1u << 3 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 10), 0x728);
	/* AVX-512, in all its places, goes. */
	CHECK_EQ(leaf(7, 0).ebx & (0xdc230000 | 1u << 16), 0);
	CHECK_EQ(leaf(7, 0).ecx & 0x5842, 0);
	CHECK_EQ(leaf(7, 0).edx & 0x10c, 0);
	CHECK_EQ(leaf(0xd, 0).eax & 0x2f8, 0);
	CHECK_EQ(leaf(0xd, 0).eax & 7, 7);
	CHECK_EQ(leaf(0xd, 1).eax & 0xf, 1); /* XSAVEOPT */
	CHECK(!(leaf(0x80000001, 0).edx & 1u << 26));
	CHECK(leaf(0x80000001, 0).edx & 1u << 29); /* long mode */
}

TEST(c3_is_an_ivy_bridge)
{
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_C3, &ice_lake, 0), 0);
	load_ones(&ice_lake);
	CHECK_EQ(leaf(1, 0).eax & 0x0fff3fff, 0x306e4);
	/* Nothing that came with Haswell. */
	CHECK_EQ(leaf(1, 0).ecx & (1u << 12 | 1u << 22), 0);
	CHECK_EQ(leaf(7, 0).ebx & (1u << 3 | 1u << 5 | 1u << 8 | 1u << 10), 0);
	CHECK_EQ(leaf(0x80000001, 0).ecx & 1u << 5, 0);
	/* Ivy Bridge's own: AVX, F16C, RDRAND, FSGSBASE, SMEP, ERMS. */
	CHECK_EQ(leaf(1, 0).ecx >> 28 & 7, 7);
	CHECK_EQ(leaf(7, 0).ebx & (1u << 0 | 1u << 7 | 1u << 9), 0x281);
}

/* Where both speak of the same leaves they say the same. */
TEST(t2a_looks_like_t2)
{
	struct cpuid_regs t2[3];
	static const uint32_t leaves[] = { 1, 7, 0xd };

	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2, &ice_lake, 0), 0);
	load_ones(&ice_lake);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		t2[i] = leaf(leaves[i], 0);
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2A, &milan, 0), 0);
	load_ones(&milan);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid_regs t2a = leaf(leaves[i], 0);

		CHECK(memcmp(&t2[i], &t2a, sizeof(t2a)) == 0);
	}
	CHECK_EQ(leaf(0x80000008, 0).ebx & 0x205, 0);
	CHECK_EQ(leaf(0x80000001, 0).ecx & 1u << 6, 0); /* SSE4A */
}

/* What the template makes of IA32_ARCH_CAPABILITIES when the host says `v'. */
static uint64_t arch_capabilities(uint64_t v)
{
	struct kvm_msr_entry entry = { .index = 0x10a, .data = v };

	CHECK_EQ(cpu.nmsrs, 1);
	CHECK_EQ(cpu.msr[0].addr, 0x10a);
	msr_modify(&cpu, &entry);
	return entry.data;
}

TEST(t2s_is_t2_with_one_face_for_two_hosts)
{
	struct conf_cpu_leaf t2[CONF_CPU_LEAVES_MAX];
	unsigned n;

	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2, &ice_lake, SKYLAKE), 0);
	n = cpu.nleaves;
	memcpy(t2, cpu.leaf, sizeof(t2));
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2S, &ice_lake, SKYLAKE), 0);
	CHECK_EQ(cpu.nleaves, n);
	CHECK(memcmp(t2, cpu.leaf, sizeof(t2)) == 0);
	/* Not safe from Meltdown, MDS or TAA, whatever the host says. */
	CHECK_EQ(arch_capabilities(0), 0x20c4c);
	CHECK_EQ(arch_capabilities(UINT64_MAX), 0x20c4c);
}

TEST(t2cl_looks_like_t2a_and_keeps_mitigations)
{
	static const uint32_t leaves[] = { 1, 7, 0xd, 0x80000001 };
	struct cpuid_regs t2cl[ARRAY_SIZE(leaves)];

	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2CL, &ice_lake, ICE_LAKE), 0);
	CHECK_EQ(arch_capabilities(0), 0);
	CHECK_EQ(arch_capabilities(UINT64_MAX), 0xd0ae1ff);
	load_ones(&ice_lake);
	CHECK_EQ(leaf(0x80000008, 0).ebx & 1u << 9, 0); /* WBNOINVD */
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		t2cl[i] = leaf(leaves[i], 0);
	CHECK_EQ(choose(CONF_CPU_TEMPLATE_T2A, &milan, MILAN), 0);
	load_ones(&milan);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid_regs t2a = leaf(leaves[i], 0);

		CHECK(memcmp(&t2cl[i], &t2a, sizeof(t2a)) == 0);
	}
}

/* No modifier sets a bit outside what it changes, and every one finds its leaf. */
TEST(static_tables_are_sound)
{
	static const struct {
		enum conf_cpu_template name;
		const struct cpu_table *table;
		uint32_t signature;
	} all[] = {
		{ CONF_CPU_TEMPLATE_C3, &ice_lake, 0 },
		{ CONF_CPU_TEMPLATE_T2, &ice_lake, 0 },
		{ CONF_CPU_TEMPLATE_T2S, &ice_lake, SKYLAKE },
		{ CONF_CPU_TEMPLATE_T2CL, &ice_lake, 0 },
		{ CONF_CPU_TEMPLATE_T2A, &milan, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		const struct template_static *t = template_static(all[i].name);

		CHECK(t->nleaves > 0 && t->nleaves <= CONF_CPU_LEAVES_MAX);
		for (unsigned l = 0; l < t->nleaves; l++)
			for (unsigned r = 0; r < 4; r++)
				CHECK_EQ(t->leaves[l].reg[r].value & ~t->leaves[l].reg[r].mask, 0);
		CHECK_EQ(choose(all[i].name, all[i].table, all[i].signature), 0);
		cpu_load(all[i].table, &c);
		CHECK_EQ(template_apply(&cpu, &c.cpuid, &e), 0);
	}
}
