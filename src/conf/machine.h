/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /machine-config: the virtual machine's size.
 *
 * Decoding errors carry -EBADMSG; errors of meaning -EINVAL. Neither has a prefix
 * ("Machine config error: "): who answers puts it there.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"

#define CONF_VCPUS_MAX 32

enum conf_cpu_template {
	CONF_CPU_TEMPLATE_C3,
	CONF_CPU_TEMPLATE_T2,
	CONF_CPU_TEMPLATE_T2S,
	CONF_CPU_TEMPLATE_T2CL,
	CONF_CPU_TEMPLATE_T2A,
	CONF_CPU_TEMPLATE_NONE,
};

enum conf_huge_pages {
	CONF_HUGE_PAGES_NONE,
	CONF_HUGE_PAGES_TRANSPARENT,
	CONF_HUGE_PAGES_2M,
};

struct conf_machine {
	uint8_t vcpu_count;
	uint64_t mem_size_mib;
	bool smt;
	bool track_dirty_pages;
	enum conf_cpu_template cpu_template;
	bool has_cpu_template; /* given last, even as "None": then no custom template counts */
	enum conf_huge_pages huge_pages;
	bool shared_memory; /* ours: a memfd that other processes may map */
};

/* What a machine is that nobody configured; the only place of these values. */
extern const struct conf_machine conf_machine_default;

/* Some of the members; only conf_machine_patch_apply() looks into it. */
struct conf_machine_patch {
	struct conf_machine values;
	uint64_t given;
};

/*
 * The body of a PUT, decoded and checked. *ret_deprecated: a deprecated member was
 * given (also set when the check fails, never when decoding does). On error *ret is
 * undefined.
 */
must_check int conf_machine_put(const char *body, size_t len, struct conf_machine *ret,
				bool *ret_deprecated, struct err *e);

/* The body of a PATCH, decoded only. -ENODATA when it gives nothing. */
must_check int conf_machine_patch_parse(const char *body, size_t len,
					struct conf_machine_patch *ret, bool *ret_deprecated,
					struct err *e);

/* The patched machine, checked; on error *inout is as before. */
must_check int conf_machine_patch_apply(const struct conf_machine_patch *patch,
					struct conf_machine *inout, struct err *e);

must_check int conf_machine_check(const struct conf_machine *m, struct err *e);

/* The reply of GET /machine-config. */
void conf_machine_print(struct text *t, const struct conf_machine *m);

/* Spelling of the contract: "T2S", "2M". */
const char *conf_cpu_template_name(enum conf_cpu_template v);
const char *conf_huge_pages_name(enum conf_huge_pages v);
