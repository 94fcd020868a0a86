/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of several hosts, for every size of machine, read as Linux reads them. */
#include "vmm/x86/cpuid.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "cpu_tables.h"
#include "test.h"

enum { VCPUS_MAX = 32, PACKAGE = 0 };

static union cpu_room c;
static struct host_cpu host;

static void normalise(unsigned vcpu, unsigned nvcpus, bool smt)
{
	const struct cpuid_topology topo = { .vcpu = vcpu, .nvcpus = nvcpus, .smt = smt };
	struct err e = { 0 };
	int r = cpuid_normalise(&c.cpuid, &host, &topo, &e);

	if (r < 0)
		fprintf(stderr, "# %s\n", e.msg);
	CHECK_EQ(r, 0);
}

static void load(const struct cpu_table *t)
{
	cpu_load(t, &c);
	host = cpu_host(t);
}

static struct cpuid_regs leaf(uint32_t function, uint32_t index)
{
	return cpu_regs(&c, function, index);
}

static bool has(uint32_t function, uint32_t index)
{
	return cpuid_find(&c.cpuid, function, index, 0);
}

/* --- Linux's view of the topology -------------------------------------------------- */

static unsigned order(unsigned n) /* of the power of two that holds n */
{
	unsigned o = 0;

	while (1u << o < n)
		o++;
	return o;
}

struct place {
	unsigned apic_id, thread, core, package;
};

static struct place place_of(unsigned apic_id, unsigned thread_bits, unsigned package_bits)
{
	return (struct place){
		.apic_id = apic_id,
		.thread = apic_id & ((1u << thread_bits) - 1),
		.core = (apic_id & ((1u << package_bits) - 1)) >> thread_bits,
		.package = apic_id >> package_bits,
	};
}

/* Leaf 0xb or 0x1f: what Linux prefers. */
static struct place by_extended(uint32_t function, unsigned nvcpus, unsigned threads)
{
	struct cpuid_regs smt = leaf(function, 0), core = leaf(function, 1);

	CHECK_EQ(smt.ecx, 0x100);
	CHECK_EQ(core.ecx, 0x201);
	CHECK_EQ(smt.ebx, threads);
	CHECK_EQ(core.ebx, nvcpus);
	CHECK_EQ(smt.edx, core.edx);
	CHECK(core.eax >= smt.eax && 1u << core.eax >= nvcpus);
	return place_of(core.edx, smt.eax, core.eax);
}

/* Leaves 1 and 4: an Intel processor without them. */
static struct place by_intel_legacy(void)
{
	struct cpuid_regs f = leaf(1, 0);
	unsigned siblings = f.edx >> 28 & 1 ? f.ebx >> 16 & 0xff : 1;
	unsigned cores = (leaf(4, 0).eax >> 26) + 1;

	CHECK(order(siblings) >= order(cores));
	return place_of(f.ebx >> 24, order(siblings) - order(cores), order(siblings));
}

/* Leaves 0x80000008 and 0x8000001e: AMD. */
static struct place by_amd(unsigned nvcpus)
{
	struct cpuid_regs sizes = leaf(0x80000008, 0), id = leaf(0x8000001e, 0);
	unsigned bits = sizes.ecx >> 12 & 0xf, threads = (id.ebx >> 8 & 0xff) + 1;
	struct place p = place_of(id.eax, order(threads), bits);

	CHECK_EQ((sizes.ecx & 0xff) + 1, nvcpus);
	CHECK(1u << bits >= nvcpus);
	CHECK_EQ(id.ebx & 0xff, p.core);
	CHECK_EQ(id.ecx, 0); /* node 0 of 1 */
	return p;
}

static void check_same(struct place a, struct place b)
{
	CHECK_EQ(a.apic_id, b.apic_id);
	CHECK_EQ(a.thread, b.thread);
	CHECK_EQ(a.core, b.core);
	CHECK_EQ(a.package, b.package);
}

/* Two vCPUs share a cache when their APIC ids agree above the sharing bits. */
static void check_caches(uint32_t function, unsigned vcpu, unsigned nvcpus, unsigned threads)
{
	for (uint32_t i = 0; leaf(function, i).eax & 0x1f; i++) {
		struct cpuid_regs r = leaf(function, i);
		unsigned bits = order((r.eax >> 14 & 0xfff) + 1), shared = 0;

		for (unsigned other = 0; other < nvcpus; other++)
			shared += other >> bits == vcpu >> bits;
		CHECK_EQ(shared, (r.eax >> 5 & 7) >= 3 ? nvcpus : threads);
	}
}

static void check_features(unsigned vcpu, unsigned nvcpus)
{
	struct cpuid_regs f = leaf(1, 0), ext = leaf(0x80000001, 0);

	CHECK_EQ(f.ebx >> 24, vcpu);
	CHECK_EQ(f.ebx >> 16 & 0xff, 1u << order(nvcpus)); /* the manual wants a power of two */
	CHECK_EQ(f.ebx >> 8 & 0xff, 8);
	CHECK(!(f.ecx & (1u << 5 | 1u << 15)));		      /* VMX, PDCM */
	CHECK((f.ecx & 1u << 24) && (f.ecx & 1u << 31));      /* TSC deadline, hypervisor */
	CHECK_EQ(f.edx >> 28 & 1, nvcpus > 1);		      /* HTT */
	CHECK(!(ext.ecx & (1u << 2 | 1u << 12)));	      /* SVM, SKINIT */
	CHECK(!(ext.ecx & (1u << 23 | 1u << 24 | 1u << 28))); /* counters */
	CHECK_EQ(leaf(0x8000000a, 0).eax | leaf(0x8000000a, 0).edx, 0);
	CHECK_EQ(leaf(0xa, 0).eax | leaf(0xa, 0).edx, 0);
	CHECK_EQ(leaf(0x80000022, 0).eax | leaf(0x80000022, 0).ebx, 0);
	CHECK_EQ(leaf(0x80000026, 0).ebx, 0);
}

static struct place check_vcpu(unsigned vcpu, unsigned nvcpus, bool smt)
{
	unsigned threads = smt && nvcpus > 1 ? 2 : 1;
	bool amd = host_cpu_vendor(&host) == HOST_CPU_AMD;
	struct place p;

	check_features(vcpu, nvcpus);
	p = amd ? by_amd(nvcpus) : by_intel_legacy();
	if (amd && !has(0xb, 0))
		CHECK(!has(0xb, 1));
	else
		check_same(p, by_extended(0xb, nvcpus, threads));
	if (has(0x1f, 0))
		check_same(p, by_extended(0x1f, nvcpus, threads));
	check_caches(amd ? 0x8000001d : 4, vcpu, nvcpus, threads);
	CHECK_EQ(p.apic_id, vcpu);
	CHECK_EQ(p.package, PACKAGE);
	CHECK_EQ(p.core, vcpu / threads);
	CHECK_EQ(p.thread, vcpu % threads);
	return p;
}

static void check_machine(unsigned nvcpus, bool smt)
{
	bool seen[VCPUS_MAX] = { false };

	for (unsigned vcpu = 0; vcpu < nvcpus; vcpu++) {
		struct place p;

		normalise(vcpu, nvcpus, smt);
		p = check_vcpu(vcpu, nvcpus, smt);
		CHECK(!seen[p.apic_id]);
		seen[p.apic_id] = true;
	}
}

static void check_all_machines(const struct cpu_table *t)
{
	static const unsigned sizes[] = { 1, 2, 3, 4, 6, 8, 16, 30, 31, 32 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		load(t);
		check_machine(sizes[i], false);
		load(t);
		if (sizes[i] == 1 || sizes[i] % 2 == 0)
			check_machine(sizes[i], true);
	}
}

/* --- hosts ------------------------------------------------------------------------- */

TEST(topology_on_intel)
{
	check_all_machines(&ice_lake);
}

TEST(topology_on_amd)
{
	check_all_machines(&milan);
}

TEST(topology_on_amd_without_extensions)
{
	check_all_machines(&plain_amd);
	CHECK_EQ(leaf(0x80000000, 0).eax, 0x8000001e);
	CHECK(leaf(0x80000001, 0).ecx & 1u << 22);
}

/* Since Linux 6.2: one sub-leaf, all zero. */
TEST(topology_that_kvm_leaves_out)
{
	struct kvm_cpuid_entry2 entries[ARRAY_SIZE(ice_lake_entries)];
	struct cpu_table t = { "Ice Lake", entries, 0 };

	for (unsigned i = 0; i < ice_lake.n; i++) {
		struct kvm_cpuid_entry2 e = ice_lake.entries[i];
		bool topology = e.function == 0xb || e.function == 0x1f;

		if (topology && e.index > 0)
			continue;
		if (topology)
			e.eax = e.ebx = e.ecx = e.edx = 0;
		entries[t.n++] = e;
	}
	check_all_machines(&t);
	CHECK_EQ(cpuid_find(&c.cpuid, 0xb, 1, 0)->flags, IDX);
	CHECK(!cpuid_find(&c.cpuid, 0xb, 1, 1)); /* added once, not for each vCPU */
	CHECK(!cpuid_find(&c.cpuid, 0x1f, 1, 1));
}

/* A third level of the host's is none of the guest's. */
TEST(levels_above_the_core_vanish)
{
	load(&ice_lake);
	normalise(1, 4, false);
	CHECK_EQ(leaf(0x1f, 2).eax, 0);
	CHECK_EQ(leaf(0x1f, 2).ebx, 0);
	CHECK_EQ(leaf(0x1f, 2).ecx, 2);
	CHECK_EQ(leaf(0x1f, 2).edx, 1);
}

TEST(topology_on_this_machine)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP("no /dev/kvm");
	c.cpuid.nent = CPUID_ENTRIES_MAX;
	CHECK_EQ(ioctl(fd, KVM_GET_SUPPORTED_CPUID, &c.cpuid), 0);
	host_cpu_read(&host);
	if (host_cpu_vendor(&host) == HOST_CPU_OTHER)
		SKIP("neither Intel nor AMD");
	CHECK(c.cpuid.nent + 16 < CPUID_ENTRIES_MAX);
	for (unsigned n = 1; n <= VCPUS_MAX; n *= 2) {
		check_machine(n, false);
		check_machine(n, true);
	}
}

/* --- single rules ------------------------------------------------------------------- */

static void check_brand(const char *expected)
{
	char brand[49] = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs part = leaf(0x80000002 + i, 0);

		memcpy(brand + 16 * i, &part, 16);
	}
	if (strcmp(brand, expected) != 0)
		fprintf(stderr, "# brand: %s\n", brand);
	CHECK(strcmp(brand, expected) == 0);
	for (size_t i = strlen(expected); i < sizeof(brand); i++)
		CHECK_EQ(brand[i], 0);
}

static void check_intel_brand(const char *of_host, const char *expected)
{
	load(&ice_lake);
	memset(host.brand, 0, sizeof(host.brand));
	memcpy(host.brand, of_host, strnlen(of_host, 48));
	normalise(0, 1, false);
	check_brand(expected);
}

TEST(brands)
{
	load(&ice_lake);
	CHECK(strcmp(host.brand, "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz") == 0);
	normalise(0, 1, false);
	check_brand("Intel(R) Xeon(R) Processor @ 2.90GHz");
	check_intel_brand("Intel(R) Xeon(R) Platinum 8488C", "Intel(R) Xeon(R) Processor");
	check_intel_brand("Pentium 133MHz", "Intel(R) Xeon(R) Processor @ 133MHz");
	check_intel_brand("GHz", "Intel(R) Xeon(R) Processor");
	check_intel_brand(" GHz", "Intel(R) Xeon(R) Processor");
	check_intel_brand("1GHz", "Intel(R) Xeon(R) Processor @ 1GHz");
	check_intel_brand("", "Intel(R) Xeon(R) Processor");
	/* 48 bytes without a NUL; figures without an end. */
	check_intel_brand("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 3.5GHz",
			  "Intel(R) Xeon(R) Processor @ 3.5GHz");
	check_intel_brand("111111111111GHz", "Intel(R) Xeon(R) Processor @ 111111111111GHz");
	check_intel_brand("1111111111111GHz", "Intel(R) Xeon(R) Processor");
	load(&milan);
	normalise(0, 1, false);
	check_brand("AMD EPYC");
	load(&milan);
	memcpy(&host.id.ebx, "Cent", 4);
	normalise(0, 1, false);
	check_brand("AMD EPYC 7R13 48-Core Processor                 ");
}

TEST(vendor_and_caches_are_the_hosts)
{
	load(&milan);
	for (unsigned i = 0; i < c.cpuid.nent; i++) {
		struct kvm_cpuid_entry2 *e = &c.cpuid.entries[i];

		if (e->function == 0 || e->function == 0x80000005 || e->function == 0x80000006)
			e->ebx = e->ecx = e->edx = 0x12345678;
	}
	normalise(0, 1, false);
	CHECK_EQ(leaf(0, 0).eax, 0x10);
	CHECK_EQ(leaf(0, 0).ebx, 0x68747541);
	CHECK_EQ(leaf(0, 0).ecx, 0x444d4163);
	CHECK_EQ(leaf(0, 0).edx, 0x69746e65);
	CHECK_EQ(leaf(0x80000005, 0).ecx, 0x20080140);
	CHECK_EQ(leaf(0x80000006, 0).edx, 0x01009140);
}

TEST(intel_rules)
{
	load(&ice_lake);
	normalise(0, 2, false);
	CHECK_EQ(leaf(6, 0).eax, 0x75); /* no turbo */
	CHECK_EQ(leaf(6, 0).ecx, 0x1);	/* no EPB */
	CHECK(leaf(7, 0).ebx & 1u << 6 && leaf(7, 0).ebx & 1u << 13);
	CHECK(!(leaf(7, 0).ecx & 1u << 5)); /* WAITPKG */
	CHECK(leaf(7, 0).edx & 1u << 29);   /* ARCH_CAPABILITIES stays */
	CHECK_EQ(leaf(4, 4).eax, 0);	    /* the end of the caches stays one */
	CHECK(has(0x80000005, 0));	    /* KVM did not offer it */
	CHECK_EQ(leaf(1, 0).ebx >> 16 & 0xff, 2);
	CHECK(!has(0x8000001e, 0));
	CHECK_EQ(leaf(0x80000000, 0).eax, 0x80000008);
}

TEST(amd_rules)
{
	load(&milan);
	normalise(0, 2, false);
	CHECK_EQ(leaf(7, 0).edx, 0xa4000010 & ~(1u << 29));
	CHECK_EQ(leaf(7, 0).ebx, 0x219c07a9);
	CHECK(leaf(0x80000001, 0).ecx & 1u << 22);
	CHECK_EQ(leaf(0x80000000, 0).eax, 0x80000023);
	CHECK_EQ(leaf(0x8000001d, 4).eax, 0);
}

/* KVM without the leaf: the host's caches. */
TEST(caches_that_kvm_leaves_out)
{
	load(&plain_amd);
	host = cpu_host(&milan);
	normalise(3, 4, true);
	CHECK_EQ(leaf(0x8000001d, 0).eax, 0x4121 | 1u << 14);
	CHECK_EQ(leaf(0x8000001d, 3).eax, (0x3c163 & ~(0xfffu << 14)) | 3u << 14);
	check_caches(0x8000001d, 3, 4, 2);
}

TEST(odd_tables)
{
	const struct cpuid_topology topo = { .nvcpus = 2, .vcpu = 1 };
	struct err e = { 0 };
	unsigned added;

	/* An entry twice: both are made right. */
	load(&ice_lake);
	c.cpuid.entries[c.cpuid.nent] = c.cpuid.entries[1];
	c.cpuid.entries[c.cpuid.nent++].ecx |= 1u << 5;
	normalise(1, 2, false);
	CHECK_EQ(cpuid_find(&c.cpuid, 1, 0, 1)->ebx >> 24, 1);
	CHECK(!(cpuid_find(&c.cpuid, 1, 0, 1)->ecx & 1u << 5));
	CHECK(!cpuid_find(&c.cpuid, 1, 0, 2));

	memset(&c, 0, sizeof(c));
	CHECK_EQ(cpuid_normalise(&c.cpuid, &host, &topo, &e), -ENOENT);
	CHECK(strstr(e.msg, "0x1") != NULL);

	/* Full, and one less. */
	load(&plain_amd);
	for (unsigned i = c.cpuid.nent; i < CPUID_ENTRIES_MAX; i++)
		c.cpuid.entries[i].function = 0x70000000 + i;
	c.cpuid.nent = CPUID_ENTRIES_MAX;
	CHECK_EQ(cpuid_normalise(&c.cpuid, &host, &topo, &e), -E2BIG);
	CHECK(strstr(e.msg, "leaf 0x8000000") != NULL);
	CHECK_EQ(c.cpuid.nent, CPUID_ENTRIES_MAX);
	load(&plain_amd);
	normalise(0, 2, false);
	added = c.cpuid.nent - plain_amd.n;
	load(&plain_amd);
	c.cpuid.nent = CPUID_ENTRIES_MAX - added;
	normalise(0, 2, false);
	CHECK_EQ(c.cpuid.nent, CPUID_ENTRIES_MAX);
}

TEST(models)
{
	struct host_cpu_model m;

	host = cpu_host(&ice_lake);
	m = host_cpu_model(&host);
	CHECK(m.family == 6 && m.model == 0x6a && m.stepping == 6);
	host = cpu_host(&milan);
	m = host_cpu_model(&host);
	CHECK(m.family == 0x19 && m.model == 1 && m.stepping == 1);
	host.signature = 0x00000543; /* extended fields do not count in family 5 */
	m = host_cpu_model(&host);
	CHECK(m.family == 5 && m.model == 4 && m.stepping == 3);
	CHECK_EQ(host_cpu_vendor(&host), HOST_CPU_AMD);
	memcpy(&host.id, (const uint32_t[]){ 0, 0x6f677948, 0x656e6975, 0x6e65476e }, 16);
	CHECK_EQ(host_cpu_vendor(&host), HOST_CPU_AMD);
}
