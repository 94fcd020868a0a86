/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/machine.h"

#include "conf/decode.h"

static const char *const cpu_templates[] = {
	[CONF_CPU_TEMPLATE_C3] = "C3",	 [CONF_CPU_TEMPLATE_T2] = "T2",
	[CONF_CPU_TEMPLATE_T2S] = "T2S", [CONF_CPU_TEMPLATE_T2CL] = "T2CL",
	[CONF_CPU_TEMPLATE_T2A] = "T2A", [CONF_CPU_TEMPLATE_NONE] = "None",
};

static const char *const huge_pages[] = {
	[CONF_HUGE_PAGES_NONE] = "None",
	[CONF_HUGE_PAGES_TRANSPARENT] = "Transparent",
	[CONF_HUGE_PAGES_2M] = "2M",
};

enum { ROW_CPU_TEMPLATE = 3 };

static const struct json_field fields[] = {
	JSON_ROW("vcpu_count", JSON_UINT, conf_machine, vcpu_count, .shown = "u8",
		 .required = true),
	JSON_ROW("mem_size_mib", JSON_UINT, conf_machine, mem_size_mib, .shown = "usize",
		 .required = true),
	JSON_ROW("smt", JSON_BOOL, conf_machine, smt),
	[ROW_CPU_TEMPLATE] = JSON_ROW("cpu_template", JSON_ENUM, conf_machine, cpu_template,
				      .nullable = true, JSON_NAMES(cpu_templates),
				      .hide = 1 + CONF_CPU_TEMPLATE_NONE),
	JSON_ROW("track_dirty_pages", JSON_BOOL, conf_machine, track_dirty_pages),
	JSON_ROW("huge_pages", JSON_ENUM, conf_machine, huge_pages, JSON_NAMES(huge_pages)),
	JSON_ROW("shared_memory", JSON_BOOL, conf_machine, shared_memory, .ours = true),
};

static const struct json_table put_table = {
	.name = "struct MachineConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

static const struct json_table patch_table = {
	.name = "struct MachineConfigUpdate",
	JSON_FIELDS(fields),
	.strict = true,
	.partial = true,
};

const struct conf_machine conf_machine_default = {
	.vcpu_count = 1,
	.mem_size_mib = 128,
	.cpu_template = CONF_CPU_TEMPLATE_NONE,
};

static bool is_deprecated(uint64_t given)
{
	return given & UINT64_C(1) << ROW_CPU_TEMPLATE;
}

int conf_machine_check(const struct conf_machine *m, struct err *e)
{
	bool odd = m->smt && m->vcpu_count > 1 && m->vcpu_count % 2 != 0;
	unsigned unit_mib = m->huge_pages == CONF_HUGE_PAGES_NONE ? 1 : 2;

	if (m->vcpu_count == 0 || m->vcpu_count > CONF_VCPUS_MAX || odd)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The number of vCPUs must be greater than 0, less than %d and must "
			       "be 1 or an even number if SMT is enabled.",
			       CONF_VCPUS_MAX);
	if (m->mem_size_mib == 0 || m->mem_size_mib % unit_mib != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The memory size (MiB) is either 0, or not a multiple of the "
			       "configured page size.");
	if (m->mem_size_mib > UINT64_MAX >> 20)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The memory size (MiB) is too large: %llu MiB have no 64-bit size "
			       "in bytes.",
			       (unsigned long long)m->mem_size_mib);
	return 0;
}

int conf_machine_decode(struct json_value v, struct conf_machine *ret, bool *ret_deprecated,
			struct err *e)
{
	uint64_t given = 0;
	int r;

	*ret = conf_machine_default;
	r = json_decode(v, &put_table, ret, &given, e);
	if (r < 0)
		return r;
	*ret_deprecated = ret->has_cpu_template = is_deprecated(given);
	return conf_machine_check(ret, e);
}

int conf_machine_put(const char *body, size_t len, struct conf_machine *ret, bool *ret_deprecated,
		     struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_machine_decode(json_root(doc), ret, ret_deprecated, e);
}

int conf_machine_patch_parse(const char *body, size_t len, struct conf_machine_patch *ret,
			     bool *ret_deprecated, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	ret->values = conf_machine_default;
	r = json_decode(json_root(doc), &patch_table, &ret->values, &ret->given, e);
	if (r < 0)
		return r;
	*ret_deprecated = is_deprecated(ret->given);
	if (ret->given == 0)
		return err_set(e, ERR_INVALID, -ENODATA, "Empty PATCH request.");
	return 0;
}

int conf_machine_patch_apply(const struct conf_machine_patch *patch, struct conf_machine *inout,
			     struct err *e)
{
	struct conf_machine patched = *inout;
	int r;

	json_merge(&patch_table, patch->given, &patch->values, &patched);
	patched.has_cpu_template = is_deprecated(patch->given);
	r = conf_machine_check(&patched, e);
	if (r < 0)
		return r;
	*inout = patched;
	return 0;
}

void conf_machine_print(struct text *t, const struct conf_machine *m)
{
	json_encode(t, &put_table, m);
}

const char *conf_cpu_template_name(enum conf_cpu_template v)
{
	return cpu_templates[v];
}

const char *conf_huge_pages_name(enum conf_huge_pages v)
{
	return huge_pages[v];
}
