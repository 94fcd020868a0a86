/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/metrics.h"

#include <string.h>

#include "base/fault.h"
#include "conf/decode.h"

enum { VALUE_MAX = 1024 }; /* bytes of a property's value, and the NUL */

/* As decoded: the properties have any names. */
struct body {
	struct conf_metrics metrics;
	struct json_value properties;
};

static const struct json_field fields[] = {
	JSON_ROW("metrics_path", JSON_STRING, body, metrics.metrics_path, .required = true),
	JSON_ROW("emit_id", JSON_BOOL, body, metrics.emit_id),
	JSON_ROW("properties", JSON_ANY, body, properties, .nullable = true),
};

/* Not strict: the contract has it so. */
static const struct json_table table = {
	.name = "struct MetricsConfig",
	JSON_FIELDS(fields),
};

static int check_new(struct json_value properties, const char *key, struct err *e)
{
	unsigned n = 0;

	json_for_each (v, properties)
		n += strcmp(json_key(v), key) == 0;
	return n > 1 ? err_set(e, ERR_INVALID, -EBADMSG, "duplicate field `%.100s`", key) : 0;
}

/* Any names, strings as values; kept as the text that each line will carry. */
static int read_properties(struct json_value properties, struct conf_metrics *m, struct err *e)
{
	char value[VALUE_MAX];
	struct text t;

	text_init(&t, m->properties, sizeof(m->properties));
	if (!json_given(properties))
		return 0;
	if (!json_is_object(properties))
		return err_set(e, ERR_INVALID, -EBADMSG,
			       "invalid type of `properties`, expected a map of strings");
	text_str(&t, "{");
	json_for_each (v, properties) {
		const struct json_field row = { .key = json_key(v),
						.type = JSON_STRING,
						.size = sizeof(value) };
		int r = check_new(properties, row.key, e);

		if (r == 0)
			r = json_decode_value(v, &row, value, e);
		if (r < 0)
			return r;
		text_str(&t, t.len > 1 ? "," : "");
		text_json_str(&t, row.key);
		text_str(&t, ":");
		text_json_str(&t, value);
	}
	text_str(&t, "}");
	if (!text_ok(&t))
		return err_set(e, ERR_INVALID, -ERANGE,
			       "The properties are too long: their JSON may have %d bytes",
			       METRICS_PROPERTIES_MAX);
	return 0;
}

int conf_metrics_decode(struct json_value v, struct conf_metrics *ret, struct err *e)
{
	autofree struct body *body = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*body));
	int r;

	if (!body)
		return err_set(e, ERR_INTERNAL, -ENOMEM,
			       "no memory for the metrics' configuration");
	r = json_decode(v, &table, body, NULL, e);
	if (r == 0)
		r = read_properties(body->properties, &body->metrics, e);
	if (r < 0)
		return r;
	if (body->metrics.metrics_path[0] == '\0')
		return err_set(e, ERR_INVALID, -ENOENT,
			       "Cannot initialize the metrics system due to bad user input: No "
			       "such file or directory (os error 2)");
	*ret = body->metrics;
	return 0;
}

int conf_metrics_parse(const char *body, size_t len, struct conf_metrics *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_metrics_decode(json_root(doc), ret, e);
}
