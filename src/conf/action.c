/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/action.h"

#include "json/json.h"

static const char *const types[] = {
	[CONF_ACTION_FLUSH_METRICS] = "FlushMetrics",
	[CONF_ACTION_INSTANCE_START] = "InstanceStart",
	[CONF_ACTION_SEND_CTRL_ALT_DEL] = "SendCtrlAltDel",
};

static const struct json_field fields[] = {
	JSON_ROW("action_type", JSON_ENUM, conf_action, action_type, .required = true,
		 JSON_NAMES(types)),
};

static const struct json_table table = {
	.name = "struct ActionBody",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_action_parse(const char *body, size_t len, struct conf_action *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : json_decode(json_root(doc), &table, ret, NULL, e);
}
