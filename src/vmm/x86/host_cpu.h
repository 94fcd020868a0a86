/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's processor: what of it a guest is told as it is, and which model it is.
 *
 * host_cpu_read() executes CPUID; the rest are pure functions.
 */
#pragma once

#include "base/cc.h"

enum host_cpu_vendor {
	HOST_CPU_INTEL,
	HOST_CPU_AMD, /* and Hygon, which is the same to a guest */
	HOST_CPU_OTHER,
};

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

enum { HOST_CPU_BRAND_LEN = 48, HOST_CPU_CACHES_MAX = 8 };

struct host_cpu {
	uint32_t max_extended;	/* largest leaf 0x8000_00xx; 0: there is none */
	struct cpuid_regs id;	/* leaf 0: vendor */
	uint32_t signature;	/* leaf 1 EAX: see host_cpu_model() */
	struct cpuid_regs l1;	/* leaf 0x8000_0005 */
	struct cpuid_regs l2l3; /* leaf 0x8000_0006 */
	unsigned ncaches;
	struct cpuid_regs cache[HOST_CPU_CACHES_MAX]; /* sub-leaves of 0x8000_001d */
	char brand[HOST_CPU_BRAND_LEN + 1];	      /* leaves 0x8000_0002 to 4; NUL-terminated */
};

void host_cpu_read(struct host_cpu *ret);

must_check enum host_cpu_vendor host_cpu_vendor(const struct host_cpu *host);

struct host_cpu_model {
	unsigned family, model, stepping;
};

/* Extended fields added up as Intel and AMD say. */
must_check struct host_cpu_model host_cpu_model(const struct host_cpu *host);

/* The frequency in the brand string, "2.90GHz", or "". */
enum { HOST_CPU_FREQUENCY_MAX = 16 };
void host_cpu_frequency(const struct host_cpu *host, char ret[HOST_CPU_FREQUENCY_MAX]);

/*
 * Asks Linux to let guests of this process use AMX tiles, if the processor has them.
 * Main thread, before KVM is asked what it supports and before the first vCPU. 0 also
 * where there is nothing to ask for; -errno is a guest without AMX, not a failure.
 */
must_check int host_cpu_permit_amx(void);
