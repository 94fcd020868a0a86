/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/balloon.h"

#include "conf/decode.h"

enum { PAGES_PER_MIB = 256 };

static const struct json_field fields[] = {
	JSON_ROW("amount_mib", JSON_UINT, conf_balloon, amount_mib, .shown = "u32",
		 .required = true),
	JSON_ROW("deflate_on_oom", JSON_BOOL, conf_balloon, deflate_on_oom, .required = true),
	JSON_ROW("stats_polling_interval_s", JSON_UINT, conf_balloon, stats_polling_interval_s,
		 .shown = "u16"),
	JSON_ROW("free_page_hinting", JSON_BOOL, conf_balloon, free_page_hinting),
	JSON_ROW("free_page_reporting", JSON_BOOL, conf_balloon, free_page_reporting),
};

static const struct json_table table = {
	.name = "struct BalloonDeviceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

struct amount {
	uint32_t amount_mib;
};

static const struct json_field amount_fields[] = {
	JSON_ROW("amount_mib", JSON_UINT, amount, amount_mib, .shown = "u32", .required = true),
};

static const struct json_table amount_table = {
	.name = "struct BalloonUpdateConfig",
	JSON_FIELDS(amount_fields),
	.strict = true,
};

struct interval {
	uint16_t stats_polling_interval_s;
};

static const struct json_field interval_fields[] = {
	JSON_ROW("stats_polling_interval_s", JSON_UINT, interval, stats_polling_interval_s,
		 .shown = "u16", .required = true),
};

static const struct json_table interval_table = {
	.name = "struct BalloonUpdateStatsConfig",
	JSON_FIELDS(interval_fields),
	.strict = true,
};

struct hinting {
	bool acknowledge_on_stop;
};

static const struct json_field hinting_fields[] = {
	JSON_ROW("acknowledge_on_stop", JSON_BOOL, hinting, acknowledge_on_stop),
};

static const struct json_table hinting_table = {
	.name = "struct StartHintingCmd",
	JSON_FIELDS(hinting_fields),
};

static int parse(const char *body, size_t len, const struct json_table *by, void *ret,
		 struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : json_decode(json_root(doc), by, ret, NULL, e);
}

static int check_amount(uint32_t amount_mib, struct err *e)
{
	if (amount_mib > UINT32_MAX / PAGES_PER_MIB)
		return err_set(e, ERR_INVALID, -EINVAL, "Amount of pages requested is too large.");
	return 0;
}

int conf_balloon_check(const struct conf_balloon *b, uint64_t mem_size_mib, struct err *e)
{
	if (b->amount_mib > mem_size_mib)
		return err_set(e, ERR_INVALID, -EINVAL, "Amount of pages requested is too large.");
	return 0;
}

int conf_balloon_decode(struct json_value v, struct conf_balloon *ret, struct err *e)
{
	int r;

	*ret = (struct conf_balloon){ 0 };
	r = json_decode(v, &table, ret, NULL, e);
	return r < 0 ? r : check_amount(ret->amount_mib, e);
}

int conf_balloon_parse(const char *body, size_t len, struct conf_balloon *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_balloon_decode(json_root(doc), ret, e);
}

int conf_balloon_amount_parse(const char *body, size_t len, uint32_t *ret_amount_mib, struct err *e)
{
	struct amount amount = { 0 };
	int r = parse(body, len, &amount_table, &amount, e);

	if (r == 0)
		r = check_amount(amount.amount_mib, e);
	if (r == 0)
		*ret_amount_mib = amount.amount_mib;
	return r;
}

int conf_balloon_interval_parse(const char *body, size_t len, uint16_t *ret_interval_s,
				struct err *e)
{
	struct interval interval = { 0 };
	int r = parse(body, len, &interval_table, &interval, e);

	if (r == 0)
		*ret_interval_s = interval.stats_polling_interval_s;
	return r;
}

int conf_balloon_hinting_parse(const char *body, size_t len, bool *ret_acknowledge_on_stop,
			       struct err *e)
{
	struct hinting hinting = { .acknowledge_on_stop = true };
	int r = len > 0 ? parse(body, len, &hinting_table, &hinting, e) : 0;

	if (r == 0)
		*ret_acknowledge_on_stop = hinting.acknowledge_on_stop;
	return r;
}
