/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID tables as KVM_GET_SUPPORTED_CPUID gives them on two kinds of host, put together
 * from the manuals, and the hosts to go with them. "Before" Linux 6.2 KVM passed the
 * host's topology on, since then it leaves it out.
 */
#pragma once

#include <linux/kvm.h>
#include <string.h>

#include "base/cc.h"
#include "vmm/x86/cpuid.h"

enum { IDX = KVM_CPUID_FLAG_SIGNIFCANT_INDEX };

struct cpu_table {
	const char *name;
	const struct kvm_cpuid_entry2 *entries;
	unsigned n;
};

#define E(leaf, idx, fl, a, b, c, d)                                                       \
	{                                                                                  \
		.function = (leaf), .index = (idx), .flags = (fl), .eax = (a), .ebx = (b), \
		.ecx = (c), .edx = (d)                                                     \
	}

/* Xeon Platinum 8375C, family 6, model 0x6a, stepping 6. */
static const struct kvm_cpuid_entry2 ice_lake_entries[] = {
	E(0x0, 0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69),
	E(0x1, 0, 0, 0x000606a6, 0x0b400800, 0xf7fab223 | 1u << 15 | 1u << 5, 0x1fabfbff),
	E(0x2, 0, 0, 0x00feff01, 0xf0, 0, 0),
	E(0x4, 0, IDX, 0xfc004121, 0x02c0003f, 0x3f, 0),
	E(0x4, 1, IDX, 0xfc004122, 0x01c0003f, 0x3f, 0),
	E(0x4, 2, IDX, 0xfc004143, 0x04c0003f, 0x3ff, 0),
	E(0x4, 3, IDX, 0xfc0fc163, 0x02c0003f, 0x11fff, 4),
	E(0x4, 4, IDX, 0, 0, 0, 0),
	E(0x6, 0, 0, 0x77, 2, 0x9, 0),
	E(0x7, 0, IDX, 0, 0xf1bf07a9, 0x40405f4e | 1u << 5, 0xac000410),
	E(0xa, 0, 0, 0x08300805, 0, 0xf, 0x8604),
	E(0xb, 0, IDX, 1, 2, 0x100, 0x2a),
	E(0xb, 1, IDX, 6, 0x40, 0x201, 0x2a),
	E(0xd, 0, IDX, 0x2e7, 0x240, 0xa88, 0),
	E(0xd, 1, IDX, 0xf, 0x240, 0, 0),
	E(0x1f, 0, IDX, 1, 2, 0x100, 0x2a),
	E(0x1f, 1, IDX, 6, 0x40, 0x201, 0x2a),
	E(0x1f, 2, IDX, 7, 0x80, 0x502, 0x2a),
	E(0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
	E(0x40000001, 0, 0, 0x01007efb, 0, 0, 0),
	E(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
	E(0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800),
	E(0x80000002, 0, 0, 0x65746e49, 0x2952286c, 0x6f655820, 0x2952286e),
	E(0x80000003, 0, 0, 0x616c5020, 0x756e6974, 0x3338206d, 0x20433537),
	E(0x80000004, 0, 0, 0x20555043, 0x2e322040, 0x48473039, 0x7a),
	E(0x80000006, 0, 0, 0, 0, 0x01006040, 0),
	E(0x80000008, 0, 0, 0x302e, 0, 0, 0),
};

/* EPYC 7R13, family 0x19, model 1, stepping 1, on a KVM that hides the topology. */
static const struct kvm_cpuid_entry2 milan_entries[] = {
	E(0x0, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65),
	E(0x1, 0, 0, 0x00a00f11, 0x2b600800, 0xf6f83203, 0x178bfbff),
	E(0x6, 0, 0, 0x4, 0, 0, 0),
	E(0x7, 0, IDX, 0, 0x219c07a9, 0x40069c, 0xa4000010),
	E(0xa, 0, 0, 0, 0, 0, 0),
	E(0xb, 0, IDX, 0, 0, 0, 0),
	E(0xd, 0, IDX, 0x207, 0x340, 0x988, 0),
	E(0xd, 1, IDX, 0xf, 0x240, 0x1800, 0),
	E(0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
	E(0x40000001, 0, 0, 0x01007efb, 0, 0, 0),
	E(0x80000000, 0, 0, 0x80000023, 0, 0, 0),
	E(0x80000001, 0, 0, 0x00a00f11, 0x40000000, 0x75c237ff & ~(1u << 22), 0x2fd3fbff),
	E(0x80000002, 0, 0, 0x20444d41, 0x43595045, 0x31523720, 0x38342033),
	E(0x80000003, 0, 0, 0x726f432d, 0x72502065, 0x7365636f, 0x20726f73),
	E(0x80000004, 0, 0, 0x20202020, 0x20202020, 0x20202020, 0x20202020),
	E(0x80000005, 0, 0, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140),
	E(0x80000006, 0, 0, 0x48002200, 0x68004200, 0x02006140, 0x01009140),
	E(0x80000008, 0, 0, 0x3030, 0x111ed205, 0x705f, 0x10007),
	E(0x8000000a, 0, 0, 0x1, 0x8, 0, 0x119b9cff),
	E(0x8000001d, 0, IDX, 0x4121, 0x01c0003f, 0x3f, 0),
	E(0x8000001d, 1, IDX, 0x4122, 0x01c0003f, 0x3f, 0),
	E(0x8000001d, 2, IDX, 0x4143, 0x01c0003f, 0x3ff, 2),
	E(0x8000001d, 3, IDX, 0x3c163, 0x03c0003f, 0x7fff, 1),
	E(0x8000001d, 4, IDX, 0, 0, 0, 0),
	E(0x8000001e, 0, 0, 0, 0, 0, 0),
	E(0x80000021, 0, 0, 0x45, 0, 0, 0),
	E(0x80000022, 0, 0, 0x1, 0x6, 0, 0),
	E(0x80000026, 0, IDX, 0x1, 0x2, 0x100, 0x2b),
};

/* An AMD machine without topology extensions or leaf 0xb, as older KVMs show one. */
static const struct kvm_cpuid_entry2 plain_amd_entries[] = {
	E(0x0, 0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65),
	E(0x1, 0, 0, 0x00800f12, 0x00010800, 0x76d83203, 0x178bfbff),
	E(0x7, 0, IDX, 0, 0x209c01a9, 0, 0),
	E(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
	E(0x80000001, 0, 0, 0x00800f12, 0x40000000, 0x35c237fb & ~(1u << 22), 0x2fd3fbff),
	E(0x80000008, 0, 0, 0x3030, 0x1007, 0, 0),
};

#define TABLE(n, e)                 \
	{                           \
		n, e, ARRAY_SIZE(e) \
	}
static const struct cpu_table ice_lake = TABLE("Ice Lake", ice_lake_entries);
static const struct cpu_table milan = TABLE("Milan", milan_entries);
static const struct cpu_table plain_amd = TABLE("plain AMD", plain_amd_entries);

union cpu_room {
	struct kvm_cpuid2 cpuid;
	char room[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2)];
};

static inline void cpu_load(const struct cpu_table *t, union cpu_room *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->cpuid.nent = t->n;
	memcpy(ret->cpuid.entries, t->entries, t->n * sizeof(t->entries[0]));
}

static inline struct cpuid_regs cpu_regs(union cpu_room *c, uint32_t leaf, uint32_t subleaf)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(&c->cpuid, leaf, subleaf, 0);
	struct cpuid_regs none = { 0 };

	return e ? (struct cpuid_regs){ e->eax, e->ebx, e->ecx, e->edx } : none;
}

/* The host on which KVM would offer this. */
static inline struct host_cpu cpu_host(const struct cpu_table *t)
{
	static union cpu_room c;
	struct host_cpu host = { 0 };

	cpu_load(t, &c);
	host.max_extended = cpu_regs(&c, 0x80000000, 0).eax;
	host.id = cpu_regs(&c, 0, 0);
	host.signature = cpu_regs(&c, 1, 0).eax;
	host.l1 = cpu_regs(&c, 0x80000005, 0);
	host.l2l3 = cpu_regs(&c, 0x80000006, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs part = cpu_regs(&c, 0x80000002 + i, 0);

		memcpy(host.brand + i * sizeof(part), &part, sizeof(part));
	}
	for (unsigned i = 0; cpu_regs(&c, 0x8000001d, i).eax & 0x1f; i++)
		host.cache[host.ncaches++] = cpu_regs(&c, 0x8000001d, i);
	return host;
}
