/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/vm.h"

#include "json/json.h"

static const char *const states[] = {
	[CONF_VM_PAUSED] = "Paused",
	[CONF_VM_RESUMED] = "Resumed",
};

static const struct json_field fields[] = {
	JSON_ROW("state", JSON_ENUM, conf_vm, state, .required = true, JSON_NAMES(states)),
};

static const struct json_table table = {
	.name = "struct Vm",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_vm_parse(const char *body, size_t len, struct conf_vm *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : json_decode(json_root(doc), &table, ret, NULL, e);
}
