/* SPDX-License-Identifier: Apache-2.0 */
/* Structs to text, by the tables that decode them. */
#include <assert.h>
#include <string.h>

#include "json/json.h"

static bool is_set(const struct json_field *f, const void *in)
{
	if (f->has)
		return *((const bool *)in + f->has);
	if (f->type == JSON_STRING && f->nullable)
		return ((const char *)in)[f->offset] != '\0';
	return true;
}

static unsigned enum_value(const struct json_field *f, const void *at)
{
	unsigned v;

	assert(f->size == sizeof(v));
	(void)f; /* of NDEBUG builds */
	memcpy(&v, at, sizeof(v));
	return v;
}

static uint64_t uint_value(const struct json_field *f, const void *at)
{
	union {
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
	} v = { 0 };

	memcpy(&v, at, f->size);
	switch (f->size) {
	case 1:
		return v.u8;
	case 2:
		return v.u16;
	case 4:
		return v.u32;
	default:
		return v.u64;
	}
}

static void encode_value(struct text *t, const struct json_field *f, const void *at)
{
	switch (f->type) {
	case JSON_BOOL:
		text_str(t, *(const bool *)at ? "true" : "false");
		return;
	case JSON_UINT:
		text_u64(t, uint_value(f, at));
		return;
	case JSON_STRING:
		text_json_str(t, at);
		return;
	case JSON_ENUM:
		assert(enum_value(f, at) < f->nnames);
		text_json_str(t, f->names[enum_value(f, at)]);
		return;
	case JSON_OBJECT: /* as deep as tables contain tables */
		json_encode(t, f->table, at);
		return;
	case JSON_ARRAY:
	case JSON_ANY:
		return;
	}
}

static bool is_printed(const struct json_field *f, const void *in)
{
	if (f->type == JSON_ARRAY || f->type == JSON_ANY)
		return false;
	if (f->ours)
		return *((const char *)in + f->offset) != 0;
	return f->type != JSON_ENUM || f->hide == 0 ||
	       enum_value(f, (const char *)in + f->offset) != f->hide - 1;
}

void json_encode(struct text *t, const struct json_table *table, const void *in)
{
	const char *separator = "{";

	for (unsigned i = 0; i < table->n; i++) {
		const struct json_field *f = &table->fields[i];

		if (!is_printed(f, in))
			continue;
		text_str(t, separator);
		text_json_str(t, f->key);
		text_str(t, ":");
		if (is_set(f, in))
			encode_value(t, f, (const char *)in + f->offset);
		else
			text_str(t, "null");
		separator = ",";
	}
	text_str(t, separator[0] == '{' ? "{}" : "}");
}
