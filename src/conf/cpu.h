/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /cpu-config: a custom CPU template, which says what the guest's processors differ in
 * from what the host and KVM offer (contract, 1.4 and 4.5).
 *
 * Whether the host has what a template changes is found out when the machine starts.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

#define CONF_CPU_CAPABILITIES_MAX 64
#define CONF_CPU_LEAVES_MAX	  128
#define CONF_CPU_MSRS_MAX	  192

enum conf_cpu_register { CONF_CPU_EAX, CONF_CPU_EBX, CONF_CPU_ECX, CONF_CPU_EDX };

struct conf_cpu_bits { /* bits in `mask' become those of `value', the others stay */
	uint32_t mask, value;
};

struct conf_cpu_leaf {
	uint32_t leaf, subleaf;
	uint32_t flags; /* KVM_CPUID_FLAG_... of the entry */
	struct conf_cpu_bits reg[4];
};

struct conf_cpu_msr {
	uint32_t addr;
	uint64_t mask, value;
};

struct conf_cpu_capability {
	uint32_t id; /* KVM_CAP_... */
	bool remove; /* not required of the host; else required as well */
};

struct conf_cpu { /* 11 KiB: not for the stack */
	unsigned ncapabilities, nleaves, nmsrs;
	struct conf_cpu_capability capability[CONF_CPU_CAPABILITIES_MAX];
	struct conf_cpu_leaf leaf[CONF_CPU_LEAVES_MAX]; /* applied in this order */
	struct conf_cpu_msr msr[CONF_CPU_MSRS_MAX];	/* likewise */
};

/*
 * The body of a PUT, or the text of a template file. Every error carries -EBADMSG and
 * names the element and the field. On error *ret is undefined.
 */
must_check int conf_cpu_parse(const char *body, size_t len, struct conf_cpu *ret, struct err *e);
