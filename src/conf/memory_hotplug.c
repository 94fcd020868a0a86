/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/memory_hotplug.h"

#include "conf/decode.h"

static const struct json_field fields[] = {
	JSON_ROW("total_size_mib", JSON_UINT, conf_memory_hotplug, total_size_mib, .shown = "u32",
		 .required = true),
	JSON_ROW("block_size_mib", JSON_UINT, conf_memory_hotplug, block_size_mib, .shown = "u32"),
	JSON_ROW("slot_size_mib", JSON_UINT, conf_memory_hotplug, slot_size_mib, .shown = "u32"),
};

static const struct json_table table = {
	.name = "struct MemoryHotplugConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

struct size {
	uint32_t requested_size_mib;
};

static const struct json_field size_fields[] = {
	JSON_ROW("requested_size_mib", JSON_UINT, size, requested_size_mib, .shown = "u32",
		 .required = true),
};

static const struct json_table size_table = {
	.name = "struct MemoryHotplugSizeUpdate",
	JSON_FIELDS(size_fields),
	.strict = true,
};

static int check(const struct conf_memory_hotplug *m, struct err *e)
{
	if (m->block_size_mib < CONF_HOTPLUG_BLOCK_MIN_MIB)
		return err_set(e, ERR_INVALID, -EINVAL, "Block size must not be lower than %d MiB",
			       CONF_HOTPLUG_BLOCK_MIN_MIB);
	if ((m->block_size_mib & (m->block_size_mib - 1)) != 0)
		return err_set(e, ERR_INVALID, -EINVAL, "Block size must be a power of 2");
	if (m->slot_size_mib < CONF_HOTPLUG_SLOT_MIN_MIB)
		return err_set(e, ERR_INVALID, -EINVAL, "Slot size must not be lower than %d MiB",
			       CONF_HOTPLUG_SLOT_MIN_MIB);
	if (m->slot_size_mib % m->block_size_mib != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Slot size must be a multiple of block size (%u MiB)",
			       m->block_size_mib);
	if (m->total_size_mib < m->slot_size_mib)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Total size must not be lower than slot size (%u MiB)",
			       m->slot_size_mib);
	if (m->total_size_mib % m->slot_size_mib != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Total size must be a multiple of slot size (%u MiB)",
			       m->slot_size_mib);
	return 0;
}

int conf_memory_hotplug_decode(struct json_value v, struct conf_memory_hotplug *ret, struct err *e)
{
	int r;

	*ret = (struct conf_memory_hotplug){
		.block_size_mib = CONF_HOTPLUG_BLOCK_MIN_MIB,
		.slot_size_mib = CONF_HOTPLUG_SLOT_MIN_MIB,
	};
	r = json_decode(v, &table, ret, NULL, e);
	return r < 0 ? r : check(ret, e);
}

int conf_memory_hotplug_parse(const char *body, size_t len, struct conf_memory_hotplug *ret,
			      struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_memory_hotplug_decode(json_root(doc), ret, e);
}

int conf_memory_hotplug_size_parse(const char *body, size_t len, uint32_t *ret_requested_size_mib,
				   struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	struct size size = { 0 };
	int r = json_parse(body, len, &doc, e);

	if (r == 0)
		r = json_decode(json_root(doc), &size_table, &size, NULL, e);
	if (r == 0)
		*ret_requested_size_mib = size.requested_size_mib;
	return r;
}
