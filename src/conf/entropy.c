/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/entropy.h"

#include "conf/decode.h"

static const struct json_field fields[] = {
	JSON_ROW("rate_limiter", JSON_OBJECT, conf_entropy, rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_entropy, has_rate_limiter)),
};

static const struct json_table table = {
	.name = "struct EntropyDeviceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_entropy_decode(struct json_value v, struct conf_entropy *ret, struct err *e)
{
	int r;

	*ret = (struct conf_entropy){ 0 };
	r = json_decode(v, &table, ret, NULL, e);
	if (r < 0)
		return r;
	conf_rate_limiter_normalise(&ret->rate_limiter);
	ret->has_rate_limiter = conf_rate_limiter_enabled(&ret->rate_limiter);
	return 0;
}

int conf_entropy_parse(const char *body, size_t len, struct conf_entropy *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_entropy_decode(json_root(doc), ret, e);
}

void conf_entropy_print(struct text *t, const struct conf_entropy *c)
{
	json_encode(t, &table, c);
}
