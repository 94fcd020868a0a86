/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/snapshot.h"

#include <string.h>

#include "conf/decode.h"

static const char *const snapshot_types[] = {
	[CONF_SNAPSHOT_DIFF] = "Diff",
	[CONF_SNAPSHOT_FULL] = "Full",
};

static const char *const backend_types[] = {
	[CONF_MEM_FILE] = "File",
	[CONF_MEM_UFFD] = "Uffd",
};

static const char *const page_kinds[] = {
	[CONF_SNAPSHOT_PAGES_SAVED] = "Snapshot",
	[CONF_SNAPSHOT_PAGES_NONE] = "None",
	[CONF_SNAPSHOT_PAGES_TRANSPARENT] = "Transparent",
	[CONF_SNAPSHOT_PAGES_2M] = "2M",
};

/* --- create ----------------------------------------------------------------- */

static const struct json_field create_fields[] = {
	JSON_ROW("snapshot_type", JSON_ENUM, conf_snapshot_create, snapshot_type,
		 JSON_NAMES(snapshot_types)),
	JSON_ROW("snapshot_path", JSON_STRING, conf_snapshot_create, snapshot_path,
		 .required = true),
	JSON_ROW("mem_file_path", JSON_STRING, conf_snapshot_create, mem_file_path,
		 .required = true),
};

static const struct json_table create_table = {
	.name = "struct CreateSnapshotParams",
	JSON_FIELDS(create_fields),
	.strict = true,
};

static int check_paths(const char *state, const char *memory, const char *memory_field,
		       struct err *e)
{
	if (state[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "`snapshot_path` is empty");
	if (memory[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "`%s` is empty", memory_field);
	return 0;
}

int conf_snapshot_create_parse(const char *body, size_t len, struct conf_snapshot_create *ret,
			       struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->snapshot_type = CONF_SNAPSHOT_FULL;
	r = json_decode(json_root(doc), &create_table, ret, NULL, e);
	if (r < 0)
		return r;
	return check_paths(ret->snapshot_path, ret->mem_file_path, "mem_file_path", e);
}

/* --- load ------------------------------------------------------------------- */

static const struct json_field backend_fields[] = {
	JSON_ROW("backend_path", JSON_STRING, conf_mem_backend, backend_path, .required = true),
	JSON_ROW("backend_type", JSON_ENUM, conf_mem_backend, backend_type, .required = true,
		 JSON_NAMES(backend_types)),
};

static const struct json_table backend_table = {
	.name = "struct MemBackendConfig",
	JSON_FIELDS(backend_fields),
	.strict = true,
};

static const struct json_field network_fields[] = {
	JSON_ROW("iface_id", JSON_STRING, conf_network_override, iface_id, .required = true,
		 .too_long = "Unknown Network Device."),
	JSON_ROW("host_dev_name", JSON_STRING, conf_network_override, host_dev_name,
		 .required = true),
};

static const struct json_table network_table = {
	.name = "struct NetworkOverride",
	JSON_FIELDS(network_fields),
};

static const struct json_field vsock_fields[] = {
	JSON_ROW("uds_path", JSON_STRING, conf_vsock_override, uds_path, .required = true),
};

static const struct json_table vsock_table = {
	.name = "struct VsockOverride",
	JSON_FIELDS(vsock_fields),
};

/* As it stands in the body, where two fields may say the same thing. */
struct load_body {
	struct conf_snapshot_load load;
	char mem_file_path[CONF_PATH_MAX];
	bool has_mem_file_path, has_backend, enable_diff_snapshots;
	struct json_value networks;
};

enum { ROW_DIFF = 3 };

static const struct json_field load_fields[] = {
	JSON_ROW("snapshot_path", JSON_STRING, load_body, load.snapshot_path, .required = true),
	JSON_ROW("mem_backend", JSON_OBJECT, load_body, load.mem, .nullable = true,
		 .table = &backend_table, JSON_HAS(load_body, has_backend)),
	JSON_ROW("mem_file_path", JSON_STRING, load_body, mem_file_path, .nullable = true,
		 JSON_HAS(load_body, has_mem_file_path)),
	[ROW_DIFF] = JSON_ROW("enable_diff_snapshots", JSON_BOOL, load_body, enable_diff_snapshots),
	JSON_ROW("track_dirty_pages", JSON_BOOL, load_body, load.track_dirty_pages),
	JSON_ROW("resume_vm", JSON_BOOL, load_body, load.resume_vm),
	JSON_ROW("network_overrides", JSON_ARRAY, load_body, networks),
	JSON_ROW("vsock_override", JSON_OBJECT, load_body, load.vsock, .nullable = true,
		 .table = &vsock_table, JSON_HAS(load_body, load.has_vsock)),
	JSON_ROW("clock_realtime", JSON_BOOL, load_body, load.clock_realtime),
	JSON_ROW("huge_pages", JSON_ENUM, load_body, load.huge_pages, JSON_NAMES(page_kinds)),
};

static const struct json_table load_table = {
	.name = "struct LoadSnapshotConfig",
	JSON_FIELDS(load_fields),
	.strict = true,
};

static int read_networks(struct json_value networks, struct conf_snapshot_load *l, struct err *e)
{
	json_for_each (v, networks) {
		struct conf_network_override *to = &l->network[l->nnetworks];
		int r;

		if (l->nnetworks == ARRAY_SIZE(l->network))
			return err_set(e, ERR_INVALID, -E2BIG,
				       "`network_overrides` has more entries than a machine has "
				       "interfaces: %d",
				       CONF_NETWORK_OVERRIDES_MAX);
		r = json_decode(v, &network_table, to, NULL, e);
		if (r < 0)
			return r;
		if (to->host_dev_name[0] == '\0')
			return err_set(e, ERR_INVALID, -EINVAL,
				       "`host_dev_name` of interface `%s` is empty", to->iface_id);
		l->nnetworks++;
	}
	return 0;
}

/* One of the two ways to name the memory file, in the contract's words. */
static int choose_memory(struct load_body *b, struct err *e)
{
	if (b->has_backend && b->has_mem_file_path)
		return err_set(e, ERR_INVALID, -EBADMSG,
			       "too many fields: either `mem_backend` or `mem_file_path` "
			       "exclusively is required");
	if (!b->has_backend && !b->has_mem_file_path)
		return err_set(e, ERR_INVALID, -EBADMSG,
			       "missing field: either `mem_backend` or `mem_file_path` is "
			       "required");
	if (b->has_mem_file_path)
		memcpy(b->load.mem.backend_path, b->mem_file_path, sizeof(b->mem_file_path));
	return 0;
}

static int read_load(struct json_value root, struct load_body *b, bool *ret_deprecated,
		     struct err *e)
{
	struct conf_snapshot_load *l = &b->load;
	uint64_t given = 0;
	int r = json_decode(root, &load_table, b, &given, e);

	if (r < 0)
		return r;
	r = choose_memory(b, e);
	if (r < 0)
		return r;
	r = read_networks(b->networks, l, e);
	if (r < 0)
		return r;
	*ret_deprecated = b->has_mem_file_path || given & UINT64_C(1) << ROW_DIFF;
	l->track_dirty_pages |= b->enable_diff_snapshots;
	return check_paths(l->snapshot_path, l->mem.backend_path,
			   b->has_backend ? "backend_path" : "mem_file_path", e);
}

int conf_snapshot_load_parse(const char *body, size_t len, struct conf_snapshot_load *ret,
			     bool *ret_deprecated, struct err *e)
{
	autofree struct load_body *b = calloc(1, sizeof(*b));
	auto_json struct json_doc *doc = NULL;
	int r;

	if (!b)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	r = json_parse(body, len, &doc, e);
	if (r == 0)
		r = read_load(json_root(doc), b, ret_deprecated, e);
	if (r == 0)
		*ret = b->load;
	return r;
}

enum conf_huge_pages conf_snapshot_pages(const struct conf_snapshot_load *l,
					 enum conf_huge_pages saved)
{
	switch (l->huge_pages) {
	case CONF_SNAPSHOT_PAGES_SAVED:
		break;
	case CONF_SNAPSHOT_PAGES_NONE:
		return CONF_HUGE_PAGES_NONE;
	case CONF_SNAPSHOT_PAGES_TRANSPARENT:
		return CONF_HUGE_PAGES_TRANSPARENT;
	case CONF_SNAPSHOT_PAGES_2M:
		return CONF_HUGE_PAGES_2M;
	}
	return saved;
}
