/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables to structs. The words and places of errors are those that serde_json gives
 * for the same mistake: a scalar of the wrong type is reported behind it, a container
 * before it, an unknown key at its colon, a missing one at the object's end.
 */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "json/doc.h"

enum { QUOTE_MAX = 64 }; /* bytes of a user's text in a message */

static int fail_at(struct json_value v, size_t at, struct err *e, const char *what)
{
	return json_fail(v.doc->text, at, e, "%s", what);
}

static bool is_whole(const char *number, size_t len)
{
	return !memchr(number, '.', len) && !memchr(number, 'e', len) && !memchr(number, 'E', len);
}

/* The digits of a whole number; -ERANGE when they are more than a u64 holds. */
static int read_u64(const char *digits, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(digits[i] - '0'), &v))
			return -ERANGE;
	*ret = v;
	return 0;
}

/* Whether serde_json would see an integer: it must fit i64 or u64, and -0 does not. */
static bool is_integer(const char *number, size_t len)
{
	bool negative = number[0] == '-';
	uint64_t magnitude;

	if (!is_whole(number, len) || read_u64(number + negative, len - negative, &magnitude) < 0)
		return false;
	return !negative || (magnitude > 0 && magnitude <= UINT64_C(1) << 63);
}

static void describe_number(struct text *t, struct json_value v)
{
	size_t len;
	const char *number = json_text(v, &len);

	text_str(t, is_integer(number, len) ? "integer `" : "floating point `");
	text_mem(t, number, len);
	text_str(t, "`");
}

static void describe(struct text *t, struct json_value v)
{
	char quote[QUOTE_MAX + 1] = { 0 };

	if (cJSON_IsNull(v.node)) {
		text_str(t, "null");
	} else if (cJSON_IsBool(v.node)) {
		text_str(t, cJSON_IsTrue(v.node) ? "boolean `true`" : "boolean `false`");
	} else if (cJSON_IsNumber(v.node)) {
		describe_number(t, v);
	} else if (cJSON_IsString(v.node)) {
		memcpy(quote, v.node->valuestring, json_cut(v.node->valuestring, QUOTE_MAX));
		text_str(t, "string ");
		text_json_str(t, quote);
	} else {
		text_str(t, cJSON_IsArray(v.node) ? "sequence" : "map");
	}
}

static int wrong_type(struct json_value v, const char *expected, struct err *e)
{
	bool container = cJSON_IsArray(v.node) || cJSON_IsObject(v.node);
	const struct json_span *span = json_span_of(v);
	char what[512];
	struct text t = TEXT_ON(what);

	text_str(&t, "invalid type: ");
	describe(&t, v);
	text_fmt(&t, ", expected %s", expected);
	return fail_at(v, container ? span->start : span->end, e, what);
}

/* One of the names in "`a`", "`a` or `b`", "one of `a`, `b`, `c`". */
static void list_name(struct text *t, unsigned i, unsigned n, const char *name)
{
	if (i == 0)
		text_str(t, n > 2 ? "one of " : "");
	else
		text_str(t, n == 2 ? " or " : ", ");
	text_fmt(t, "`%s`", name);
}

static int unknown_field(struct json_value v, const struct json_table *table, struct err *e)
{
	const char *key = v.node->string;
	char what[512];
	struct text t = TEXT_ON(what);
	unsigned n = table->n;

	while (n > 0 && table->fields[n - 1].ours)
		n--;
	text_fmt(&t, "unknown field `%.*s`, expected ", (int)json_cut(key, QUOTE_MAX), key);
	for (unsigned i = 0; i < n; i++)
		list_name(&t, i, n, table->fields[i].key);
	return fail_at(v, json_span_of(v)->colon, e, what);
}

static int unknown_variant(struct json_value v, const struct json_field *f, struct err *e)
{
	const char *s = v.node->valuestring;
	char what[512];
	struct text t = TEXT_ON(what);

	text_fmt(&t, "unknown variant `%.*s`, expected ", (int)json_cut(s, QUOTE_MAX), s);
	for (unsigned i = 0; i < f->nnames; i++)
		list_name(&t, i, f->nnames, f->names[i]);
	return fail_at(v, json_span_of(v)->end, e, what);
}

static int put_bool(struct json_value v, void *to, struct err *e)
{
	bool b = cJSON_IsTrue(v.node);

	if (!cJSON_IsBool(v.node))
		return wrong_type(v, "a boolean", e);
	memcpy(to, &b, sizeof(b));
	return 0;
}

static int put_uint(struct json_value v, const struct json_field *f, void *to, struct err *e)
{
	uint64_t max = f->size == 8 ? UINT64_MAX : (UINT64_C(1) << (f->size * 8)) - 1;
	uint64_t u = 0;
	char what[160];
	struct text t = TEXT_ON(what);
	const char *number;
	size_t len;

	number = json_text(v, &len);
	if (!cJSON_IsNumber(v.node) || !is_integer(number, len))
		return wrong_type(v, f->shown, e);
	if (number[0] == '-' || read_u64(number, len, &u) < 0 || u > max) {
		text_str(&t, "invalid value: ");
		describe_number(&t, v);
		text_fmt(&t, ", expected %s", f->shown);
		return fail_at(v, json_span_of(v)->end, e, what);
	}
	switch (f->size) {
	case 1:
		memcpy(to, &(uint8_t){ (uint8_t)u }, 1);
		break;
	case 2:
		memcpy(to, &(uint16_t){ (uint16_t)u }, 2);
		break;
	case 4:
		memcpy(to, &(uint32_t){ (uint32_t)u }, 4);
		break;
	default:
		memcpy(to, &u, 8);
	}
	return 0;
}

static int put_string(struct json_value v, const struct json_field *f, void *to, struct err *e)
{
	size_t len;

	if (!cJSON_IsString(v.node))
		return wrong_type(v, "a string", e);
	len = strlen(v.node->valuestring);
	if (len >= f->size && f->too_long)
		return err_set(e, ERR_INVALID, -ERANGE, "%s", f->too_long);
	if (len >= f->size)
		return err_set(e, ERR_INVALID, -ERANGE,
			       "The value of `%s` has %zu bytes, %u at most.", f->key, len,
			       f->size - 1);
	memcpy(to, v.node->valuestring, len + 1);
	return 0;
}

static int put_enum(struct json_value v, const struct json_field *f, void *to, struct err *e)
{
	const char *s = v.node->valuestring;
	unsigned i;

	if (!cJSON_IsString(v.node))
		return fail_at(v, json_span_of(v)->start + 1, e, "expected value");
	for (i = 0; i < f->nnames; i++)
		if (strcmp(s, f->names[i]) == 0 || (f->any_case && strcasecmp(s, f->names[i]) == 0))
			break;
	if (i == f->nnames)
		return unknown_variant(v, f, e);
	assert(f->size == sizeof(i));
	memcpy(to, &i, sizeof(i));
	return 0;
}

static int put(struct json_value v, const struct json_field *f, void *to, struct err *e)
{
	switch (f->type) {
	case JSON_BOOL:
		return put_bool(v, to, e);
	case JSON_UINT:
		return put_uint(v, f, to, e);
	case JSON_STRING:
		return put_string(v, f, to, e);
	case JSON_ENUM:
		return put_enum(v, f, to, e);
	case JSON_OBJECT: /* as deep as tables contain tables */
		return json_decode(v, f->table, to, NULL, e);
	case JSON_ARRAY:
		if (!cJSON_IsArray(v.node))
			return wrong_type(v, "a sequence", e);
		memcpy(to, &v, sizeof(v));
		return 0;
	case JSON_ANY:
		memcpy(to, &v, sizeof(v));
		return 0;
	}
	return err_set(e, ERR_INTERNAL, -EINVAL, "field `%s' has no type", f->key);
}

int json_expect(struct json_value v, enum json_kind kind, const char *expected, struct err *e)
{
	return json_kind(v) == kind ? 0 : wrong_type(v, expected, e);
}

int json_decode_value(struct json_value v, const struct json_field *field, void *out, struct err *e)
{
	return put(v, field, out, e);
}

/* One member. 1: row *ret_row was given, 0: it gave nothing. */
static int decode_member(struct json_value v, const struct json_table *table, void *out,
			 uint64_t *seen, unsigned *ret_row, struct err *e)
{
	const char *key = v.node->string;
	const struct json_field *f;
	char what[160];
	unsigned i;
	int r;

	for (i = 0; i < table->n && strcmp(key, table->fields[i].key) != 0; i++)
		;
	if (i == table->n && table->strict)
		return unknown_field(v, table, e);
	if (i == table->n)
		return 0;
	if (*seen & UINT64_C(1) << i) {
		struct text t = TEXT_ON(what);

		text_fmt(&t, "duplicate field `%s`", key);
		return fail_at(v, json_span_of(v)->colon, e, what);
	}
	*seen |= UINT64_C(1) << i;
	f = &table->fields[i];
	if (cJSON_IsNull(v.node) && (f->nullable || table->partial))
		return 0;
	r = put(v, f, (char *)out + f->offset, e);
	if (r < 0)
		return r;
	if (f->has)
		*((bool *)out + f->has) = true;
	*ret_row = i;
	return 1;
}

/* Whether a row that stands for row i was given. */
static bool is_replaced(const struct json_table *table, uint64_t given, unsigned i)
{
	for (unsigned other = 0; other < table->n; other++)
		if (i > 0 && table->fields[other].instead_of == i && given & UINT64_C(1) << other)
			return true;
	return false;
}

int json_decode(struct json_value v, const struct json_table *table, void *out, uint64_t *ret_given,
		struct err *e)
{
	uint64_t given = 0, seen = 0;

	assert(table->n <= 64);
	if (!cJSON_IsObject(v.node))
		return wrong_type(v, table->name, e);
	json_for_each (member, v) {
		unsigned row = 0;
		int r = decode_member(member, table, out, &seen, &row, e);

		if (r < 0)
			return r;
		if (r > 0)
			given |= UINT64_C(1) << row;
	}
	for (unsigned i = 0; i < table->n; i++) {
		const struct json_field *f = &table->fields[i];
		char what[160];
		struct text t = TEXT_ON(what);

		if (!f->required || table->partial || seen & UINT64_C(1) << i ||
		    is_replaced(table, given, i))
			continue;
		text_fmt(&t, "missing field `%s`", f->key);
		return fail_at(v, json_span_of(v)->end, e, what);
	}
	if (ret_given)
		*ret_given = given;
	return 0;
}

void json_merge(const struct json_table *table, uint64_t given, const void *from, void *to)
{
	for (unsigned i = 0; i < table->n; i++) {
		const struct json_field *f = &table->fields[i];

		if (!(given & UINT64_C(1) << i))
			continue;
		memcpy((char *)to + f->offset, (const char *)from + f->offset, f->size);
		if (f->has)
			*((bool *)to + f->has) = *((const bool *)from + f->has);
	}
}
