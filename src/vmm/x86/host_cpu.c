/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/host_cpu.h"

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fault.h"

/* Linux, Documentation/arch/x86/xstate.rst; not in every libc's headers. */
enum { XCOMP_GET_SUPPORTED = 0x1021, XCOMP_REQUEST_GUEST = 0x1025 };
enum { XFEATURE_TILE_DATA = 18 };

#define FIRST_EXTENDED	 0x80000000
#define LEAF_BRAND	 0x80000002
#define LEAF_L1		 0x80000005
#define LEAF_L2L3	 0x80000006
#define LEAF_CACHES	 0x8000001d
#define CACHE_TYPE(regs) ((regs).eax & 0x1f)

static struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

static void read_brand(struct host_cpu *host)
{
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs part = cpuid(LEAF_BRAND + i, 0);

		memcpy(host->brand + i * sizeof(part), &part, sizeof(part));
	}
	host->brand[HOST_CPU_BRAND_LEN] = '\0';
}

static void read_caches(struct host_cpu *host)
{
	while (host->ncaches < HOST_CPU_CACHES_MAX) {
		struct cpuid_regs c = cpuid(LEAF_CACHES, host->ncaches);

		if (CACHE_TYPE(c) == 0) /* no more */
			break;
		host->cache[host->ncaches++] = c;
	}
}

void host_cpu_read(struct host_cpu *ret)
{
	uint32_t max = cpuid(FIRST_EXTENDED, 0).eax;

	*ret = (struct host_cpu){
		.max_extended = max >= FIRST_EXTENDED ? max : 0,
		.id = cpuid(0, 0),
		.signature = cpuid(1, 0).eax,
	};
	if (ret->max_extended >= LEAF_BRAND + 2)
		read_brand(ret);
	if (ret->max_extended >= LEAF_L1)
		ret->l1 = cpuid(LEAF_L1, 0);
	if (ret->max_extended >= LEAF_L2L3)
		ret->l2l3 = cpuid(LEAF_L2L3, 0);
	/* Reserved elsewhere, and then without an end. */
	if (ret->max_extended >= LEAF_CACHES && host_cpu_vendor(ret) == HOST_CPU_AMD)
		read_caches(ret);
}

enum host_cpu_vendor host_cpu_vendor(const struct host_cpu *host)
{
	static const struct {
		char name[12];
		enum host_cpu_vendor vendor;
	} vendors[] = {
		{ "GenuineIntel", HOST_CPU_INTEL },
		{ "AuthenticAMD", HOST_CPU_AMD },
		{ "HygonGenuine", HOST_CPU_AMD },
	};
	const uint32_t id[] = { host->id.ebx, host->id.edx, host->id.ecx };

	for (unsigned i = 0; i < ARRAY_SIZE(vendors); i++)
		if (memcmp(id, vendors[i].name, sizeof(id)) == 0)
			return vendors[i].vendor;
	return HOST_CPU_OTHER;
}

struct host_cpu_model host_cpu_model(const struct host_cpu *host)
{
	uint32_t s = host->signature;
	struct host_cpu_model m = {
		.family = s >> 8 & 0xf,
		.model = s >> 4 & 0xf,
		.stepping = s & 0xf,
	};

	if (m.family == 0x6 || m.family == 0xf)
		m.model |= s >> 12 & 0xf0;
	if (m.family == 0xf)
		m.family += s >> 20 & 0xff;
	return m;
}

static bool is_figure(char c)
{
	return (c >= '0' && c <= '9') || c == '.';
}

void host_cpu_frequency(const struct host_cpu *host, char ret[HOST_CPU_FREQUENCY_MAX])
{
	const char *begin = host->brand;
	size_t len = strnlen(begin, HOST_CPU_BRAND_LEN);

	ret[0] = '\0';
	for (size_t end = len; end >= 4; end--) {
		size_t from = end - 3; /* of "GHz" */

		if (memcmp(begin + from + 1, "Hz", 2) != 0 || !memchr("MGT", begin[from], 3))
			continue;
		while (from > 0 && is_figure(begin[from - 1]))
			from--;
		if (from == end - 3 || end - from >= HOST_CPU_FREQUENCY_MAX)
			continue;
		memcpy(ret, begin + from, end - from);
		ret[end - from] = '\0';
		return;
	}
}

int host_cpu_permit_amx(void)
{
	uint64_t supported = 0;
	int r = FAULT(-EPERM);

	/* -EINVAL: a kernel without dynamic features, hence without AMX. */
	if (syscall(SYS_arch_prctl, XCOMP_GET_SUPPORTED, &supported) < 0)
		return errno == EINVAL ? 0 : -errno;
	if (!(supported & UINT64_C(1) << XFEATURE_TILE_DATA))
		return 0;
	if (r == 0 && syscall(SYS_arch_prctl, XCOMP_REQUEST_GUEST, XFEATURE_TILE_DATA) < 0)
		r = -errno;
	return r;
}
