/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/pmem.h"

#include <string.h>

#include "conf/decode.h"

#define ID_TOO_LONG "The pmem ID has more than 64 characters."

static const struct json_field fields[] = {
	JSON_ROW("id", JSON_STRING, conf_pmem, id, .required = true, .too_long = ID_TOO_LONG),
	JSON_ROW("path_on_host", JSON_STRING, conf_pmem, path_on_host, .required = true),
	JSON_ROW("root_device", JSON_BOOL, conf_pmem, root_device),
	JSON_ROW("read_only", JSON_BOOL, conf_pmem, read_only),
	JSON_ROW("rate_limiter", JSON_OBJECT, conf_pmem, rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_pmem, has_rate_limiter)),
};

static const struct json_table table = {
	.name = "struct PmemConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

static const struct json_field patch_fields[] = {
	JSON_ROW("id", JSON_STRING, conf_pmem_patch, id, .required = true, .too_long = ID_TOO_LONG),
	JSON_ROW("rate_limiter", JSON_OBJECT, conf_pmem_patch, rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_pmem_patch, has_rate_limiter)),
};

static const struct json_table patch_table = {
	.name = "struct PmemDeviceUpdateConfig",
	JSON_FIELDS(patch_fields),
	.strict = true,
};

int conf_pmem_decode(struct json_value v, struct conf_pmem *ret, struct err *e)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = json_decode(v, &table, ret, NULL, e);
	if (r < 0)
		return r;
	conf_rate_limiter_normalise(&ret->rate_limiter);
	ret->has_rate_limiter = conf_rate_limiter_enabled(&ret->rate_limiter);
	if (ret->path_on_host[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "The path_on_host of pmem `%s` is empty.",
			       ret->id);
	return conf_id_check(ret->id, e);
}

int conf_pmem_parse(const char *body, size_t len, struct conf_pmem *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_pmem_decode(json_root(doc), ret, e);
}

int conf_pmem_patch_parse(const char *body, size_t len, struct conf_pmem_patch *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	r = json_decode(json_root(doc), &patch_table, ret, NULL, e);
	return r < 0 ? r : conf_id_check(ret->id, e);
}
