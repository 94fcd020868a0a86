/* SPDX-License-Identifier: Apache-2.0 */
/* Text to struct and back: values, messages with their places, limits, faults. */
#include "json/json.h"

#include "base/fault.h"
#include "test.h"

enum colour { RED, GREEN, BLUE };

struct inner {
	uint16_t w;
	uint32_t d;
};

struct outer {
	uint8_t b;
	uint64_t q;
	bool flag;
	char name[8];
	char opt[4];
	enum colour colour;
	enum colour any;
	struct inner inner;
	bool has_inner;
	struct json_value list;
};

static const char *const colours[] = { "Red", "Green", "Blue" };
static const char *const two[] = { "Red", "Green" };

static const struct json_field inner_fields[] = {
	JSON_ROW("w", JSON_UINT, inner, w, .shown = "u16", .required = true),
	JSON_ROW("d", JSON_UINT, inner, d, .shown = "u32"),
};

static const struct json_table inner_table = { .name = "struct Inner", JSON_FIELDS(inner_fields) };

static const struct json_field outer_fields[] = {
	JSON_ROW("b", JSON_UINT, outer, b, .shown = "u8", .required = true),
	JSON_ROW("q", JSON_UINT, outer, q, .shown = "u64"),
	JSON_ROW("flag", JSON_BOOL, outer, flag),
	JSON_ROW("name", JSON_STRING, outer, name),
	JSON_ROW("opt", JSON_STRING, outer, opt, .nullable = true, .too_long = "opt is too long"),
	JSON_ROW("colour", JSON_ENUM, outer, colour, JSON_NAMES(colours), .hide = 1 + BLUE),
	JSON_ROW("any", JSON_ENUM, outer, any, JSON_NAMES(two), .any_case = true),
	JSON_ROW("inner", JSON_OBJECT, outer, inner, .nullable = true, .table = &inner_table,
		 JSON_HAS(outer, has_inner)),
	JSON_ROW("list", JSON_ARRAY, outer, list),
};

static const struct json_table outer_table = {
	.name = "struct Outer",
	JSON_FIELDS(outer_fields),
	.strict = true,
};

static int decode(const char *text, const struct json_table *table, void *out, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(text, strlen(text), &doc, e);

	return r < 0 ? r : json_decode(json_root(doc), table, out, NULL, e);
}

static void expect_error(const char *text, int code, const char *msg)
{
	struct outer o = { 0 };
	struct err e = { 0 };
	int r = decode(text, &outer_table, &o, &e);

	if (r == code && e.code == code && e.kind == ERR_INVALID && strcmp(e.msg, msg) == 0)
		return;
	fprintf(stderr, "# %s\n# gave %d: %s\n# not %d: %s\n", text, r, e.msg, code, msg);
	exit(1);
}

TEST(values_of_every_type)
{
	struct outer o = { .q = 7, .any = GREEN };
	struct err e = { 0 };

	CHECK_EQ(
		decode(" {\"b\" : 255,\t\"flag\":true,\n\"name\":\"a\\u00e9\\n\\\"\",\"opt\":null,"
		       "\"colour\":\"Green\",\"inner\":{\"w\":65535,\"d\":4294967295,\"x\":[{}]}}\r\n",
		       &outer_table, &o, &e),
		0);
	CHECK_EQ(o.b, 255);
	CHECK_EQ(o.q, 7); /* not given: as before */
	CHECK_EQ(o.any, GREEN);
	CHECK(o.flag);
	CHECK(strcmp(o.name, "a\xc3\xa9\n\"") == 0);
	CHECK_EQ(o.colour, GREEN);
	CHECK(o.has_inner);
	CHECK_EQ(o.inner.w, 65535);
	CHECK_EQ(o.inner.d, 4294967295);
}

TEST(u64_is_exact)
{
	static const struct {
		const char *text;
		uint64_t v;
	} c[] = {
		{ "{\"b\":0,\"q\":9007199254740993}", 9007199254740993 },
		{ "{\"b\":0,\"q\":9223372036854775808}", UINT64_C(1) << 63 },
		{ "{\"b\":0,\"q\":18446744073709551615}", UINT64_MAX },
		{ "{\"b\":0,\"q\":0}", 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct outer o = { .q = 1 };
		struct err e = { 0 };

		CHECK_EQ(decode(c[i].text, &outer_table, &o, &e), 0);
		CHECK(o.q == c[i].v);
	}
}

TEST(decoding_errors_have_words_and_place)
{
	static const struct {
		const char *text, *msg;
	} c[] = {
		{ "{}", "missing field `b` at line 1 column 2" },
		{ "{\"q\": 128}", "missing field `b` at line 1 column 10" },
		{ "{\n \"q\": 1\n}", "missing field `b` at line 3 column 1" },
		{ "{\"b\":1,\"inner\":{}}", "missing field `w` at line 1 column 17" },
		{ "{\"b\":1,\"b\":2}", "duplicate field `b` at line 1 column 10" },
		{ "{\"b\":1,\"flag\":null}",
		  "invalid type: null, expected a boolean at line 1 column 18" },
		{ "{\"b\":1,\"opt\":null,\"opt\":null}",
		  "duplicate field `opt` at line 1 column 23" },
		{ "{\"b\":256}", "invalid value: integer `256`, expected u8 at line 1 column 8" },
		{ "{\"b\":-1}", "invalid value: integer `-1`, expected u8 at line 1 column 7" },
		{ "{\"b\":-9223372036854775808}",
		  "invalid value: integer `-9223372036854775808`, expected u8 at line 1 column 25" },
		{ "{\"b\":-9223372036854775809}",
		  "invalid type: floating point `-9223372036854775809`, expected u8 at line 1 "
		  "column 25" },
		{ "{\"b\":-0}",
		  "invalid type: floating point `-0`, expected u8 at line 1 column 7" },
		{ "{\"b\":1.5}",
		  "invalid type: floating point `1.5`, expected u8 at line 1 column 8" },
		{ "{\"b\":1e2}",
		  "invalid type: floating point `1e2`, expected u8 at line 1 column 8" },
		{ "{\"b\":1E2}",
		  "invalid type: floating point `1E2`, expected u8 at line 1 column 8" },
		{ "{\"b\":1,\"q\":18446744073709551616}",
		  "invalid type: floating point `18446744073709551616`, expected u64 at line 1 "
		  "column 31" },
		{ "{\"b\":1,\"q\":-1}",
		  "invalid value: integer `-1`, expected u64 at line 1 column 13" },
		{ "{\"b\":1,\"inner\":{\"w\":65536}}",
		  "invalid value: integer `65536`, expected u16 at line 1 column 25" },
		{ "{\"b\":1,\"inner\":{\"w\":1,\"d\":4294967296}}",
		  "invalid value: integer `4294967296`, expected u32 at line 1 column 36" },
		{ "{\"b\":\"1\"}", "invalid type: string \"1\", expected u8 at line 1 column 8" },
		{ "{\"b\":true}", "invalid type: boolean `true`, expected u8 at line 1 column 9" },
		{ "{\"b\":false}",
		  "invalid type: boolean `false`, expected u8 at line 1 column 10" },
		{ "{\"b\":null}", "invalid type: null, expected u8 at line 1 column 9" },
		{ "{\"b\":[1]}", "invalid type: sequence, expected u8 at line 1 column 5" },
		{ "{\"b\":{}}", "invalid type: map, expected u8 at line 1 column 5" },
		{ "{\"flag\":1}",
		  "invalid type: integer `1`, expected a boolean at line 1 column 9" },
		{ "{\"name\":1}",
		  "invalid type: integer `1`, expected a string at line 1 column 9" },
		{ "{\"inner\":1}",
		  "invalid type: integer `1`, expected struct Inner at line 1 column 10" },
		{ "{\"list\":{}}", "invalid type: map, expected a sequence at line 1 column 8" },
		{ "{\"list\":null}",
		  "invalid type: null, expected a sequence at line 1 column 12" },
		{ "[]", "invalid type: sequence, expected struct Outer at line 1 column 0" },
		{ "1", "invalid type: integer `1`, expected struct Outer at line 1 column 1" },
		{ "{\"colour\":\"red\"}", "unknown variant `red`, expected one of `Red`, `Green`, "
					  "`Blue` at line 1 column 15" },
		{ "{\"any\":\"Blue\"}",
		  "unknown variant `Blue`, expected `Red` or `Green` at line 1 column 13" },
		{ "{\"colour\":1}", "expected value at line 1 column 11" },
		{ "{\"colour\":null}", "expected value at line 1 column 11" },
		{ "{\"b\":1,\"B\":2}",
		  "unknown field `B`, expected one of `b`, `q`, `flag`, `name`, `opt`, `colour`, "
		  "`any`, `inner`, `list` at line 1 column 10" },
		{ "{\"x\" :2}",
		  "unknown field `x`, expected one of `b`, `q`, `flag`, `name`, `opt`, `colour`, "
		  "`any`, `inner`, `list` at line 1 column 5" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
		expect_error(c[i].text, -EBADMSG, c[i].msg);
}

TEST(grammar_errors_have_words_and_place)
{
	static const struct {
		const char *text, *msg;
	} c[] = {
		{ "", "EOF while parsing a value at line 1 column 0" },
		{ " \n ", "EOF while parsing a value at line 2 column 1" },
		{ "{", "EOF while parsing an object at line 1 column 1" },
		{ "{\"b\"", "EOF while parsing an object at line 1 column 4" },
		{ "{\"b\":", "EOF while parsing a value at line 1 column 5" },
		{ "{\"b\":1", "EOF while parsing an object at line 1 column 6" },
		{ "{\"b\":1,", "EOF while parsing a value at line 1 column 7" },
		{ "{\"b\":1,}", "trailing comma at line 1 column 8" },
		{ "{\"b\":1 \"q\":2}", "expected `,` or `}` at line 1 column 8" },
		{ "{\"b\" 1}", "expected `:` at line 1 column 6" },
		{ "{b:1}", "key must be a string at line 1 column 2" },
		{ "{,}", "key must be a string at line 1 column 2" },
		{ "{\"b\":1}x", "trailing characters at line 1 column 8" },
		{ "{\"b\":1}{}", "trailing characters at line 1 column 8" },
		{ "{\"b\":}", "expected value at line 1 column 6" },
		{ "{\"b\":+1}", "expected value at line 1 column 6" },
		{ "{\"b\":.5}", "expected value at line 1 column 6" },
		{ "{\"b\":01}", "invalid number at line 1 column 7" },
		{ "{\"b\":-01}", "invalid number at line 1 column 8" },
		{ "{\"b\":-}", "invalid number at line 1 column 7" },
		{ "{\"b\":1.}", "invalid number at line 1 column 8" },
		{ "{\"b\":1.", "EOF while parsing a value at line 1 column 7" },
		{ "{\"b\":1e}", "invalid number at line 1 column 8" },
		{ "{\"b\":1e+", "EOF while parsing a value at line 1 column 8" },
		{ "{\"b\":tru}", "expected ident at line 1 column 9" },
		{ "{\"b\":nul", "EOF while parsing a value at line 1 column 8" },
		{ "{\"b\":falsE}", "expected ident at line 1 column 10" },
		{ "[", "EOF while parsing a list at line 1 column 1" },
		{ "[1", "EOF while parsing a list at line 1 column 2" },
		{ "[1,", "EOF while parsing a value at line 1 column 3" },
		{ "[1,]", "trailing comma at line 1 column 4" },
		{ "[1 2]", "expected `,` or `]` at line 1 column 4" },
		{ "[,]", "expected value at line 1 column 2" },
		{ "\"a", "EOF while parsing a string at line 1 column 2" },
		{ "\"a\\", "EOF while parsing a string at line 1 column 3" },
		{ "\"a\\q\"", "invalid escape at line 1 column 4" },
		{ "\"\\u12g4\"", "invalid escape at line 1 column 6" },
		{ "\"\\u12", "EOF while parsing a string at line 1 column 5" },
		{ "\"\\ud800\"", "unexpected end of hex escape at line 1 column 7" },
		{ "\"\\ud800\\n\"", "unexpected end of hex escape at line 1 column 7" },
		{ "\"\\ud800\\u0041\"",
		  "lone leading surrogate in hex escape at line 1 column 13" },
		{ "\"\\udc00\"", "lone leading surrogate in hex escape at line 1 column 7" },
		{ "{\"b\\u0000\":1}", "NUL character in a string at line 1 column 9" },
		{ "\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at "
			      "line 2 column 0" },
		{ "\"a\tb\"", "control character (\\u0000-\\u001F) found while parsing a string at "
			      "line 1 column 3" },
		{ "\xef\xbb\xbf{}", "expected value at line 1 column 1" },
		{ "\v{}", "expected value at line 1 column 1" },
		{ "/* */{}", "expected value at line 1 column 1" },
		{ "{'b':1}", "key must be a string at line 1 column 2" },
		{ "NaN", "expected value at line 1 column 1" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
		expect_error(c[i].text, -EBADMSG, c[i].msg);
}

static bool parses(const char *text, size_t len)
{
	auto_json struct json_doc *doc = NULL;
	struct err e = { 0 };
	int r = json_parse(text, len, &doc, &e);

	CHECK(r == 0 || (r == -EBADMSG && e.code == r && e.msg[0]));
	return r == 0;
}

TEST(raw_nul_is_refused)
{
	CHECK(!parses("\"a\0b\"", 5));
	CHECK(!parses("{}\0", 3));
	CHECK(!parses("\"\\\0\"", 4));
	CHECK(!parses("\0{}", 3));
	CHECK(parses("{}\0", 2));
}

TEST(utf8)
{
	static const struct {
		const char *s;
		bool good;
	} c[] = {
		{ "\x7f", true },
		{ "\xc2\x80", true },
		{ "\xdf\xbf", true },
		{ "\xe0\xa0\x80", true },
		{ "\xed\x9f\xbf", true },
		{ "\xee\x80\x80", true },
		{ "\xef\xbf\xbf", true },
		{ "\xf0\x90\x80\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\x80", false },
		{ "\xc1\xbf", false },
		{ "\xc2", false },
		{ "\xc2\x41", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xe1\x80", false },
		{ "\xed\xa0\x80", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf1\x80\x80", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xff", false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		char text[16];
		int n = snprintf(text, sizeof(text), "\"%s\"", c[i].s);

		CHECK_EQ(parses(text, (size_t)n), c[i].good);
	}
	CHECK(!parses("\"\xe1\x80\"", 3)); /* cut inside a character */
	CHECK(parses("\"\\ud83d\\ude00\"", 14));
}

static bool nested_parses(unsigned depth, char open, char close)
{
	char text[2 * JSON_DEPTH_MAX + 8];

	memset(text, open, depth);
	memset(text + depth, close, depth);
	return parses(text, 2UL * depth);
}

TEST(limit_of_depth)
{
	CHECK(nested_parses(JSON_DEPTH_MAX, '[', ']'));
	CHECK(!nested_parses(JSON_DEPTH_MAX + 1, '[', ']'));
	CHECK(!parses("[[[[[[[[[[[[[[[[[[[[[[[[", 24));
}

TEST(limit_of_values)
{
	static char text[2 * JSON_VALUES_MAX + 2];
	size_t n = 0;

	text[n++] = '[';
	for (unsigned i = 1; i < JSON_VALUES_MAX; i++) {
		text[n++] = '1';
		text[n++] = ',';
	}
	text[n - 1] = ']';
	CHECK(parses(text, n));
	memcpy(text + n - 1, ",1]", 3);
	CHECK(!parses(text, n + 2));
}

TEST(limit_of_numbers)
{
	char text[80] = "0.";

	memset(text + 2, '1', 70);
	CHECK(parses(text, JSON_NUMBER_MAX));
	CHECK(!parses(text, JSON_NUMBER_MAX + 1));
	CHECK(parses("1e999", 5)); /* no integer field takes it */
}

TEST(limit_of_text)
{
	size_t len = JSON_TEXT_MAX + 1;
	autofree char *text = malloc(len);

	CHECK(text != NULL);
	memset(text, ' ', len);
	text[0] = '1';
	CHECK(parses(text, len - 1));
	CHECK(!parses(text, len));
}

TEST(limit_of_strings)
{
	struct outer o = { 0 };
	struct err e = { 0 };

	CHECK_EQ(decode("{\"b\":1,\"name\":\"1234567\",\"opt\":\"123\"}", &outer_table, &o, &e), 0);
	CHECK(strcmp(o.name, "1234567") == 0);
	CHECK(strcmp(o.opt, "123") == 0);
	expect_error("{\"b\":1,\"name\":\"12345678\"}", -ERANGE,
		     "The value of `name` has 8 bytes, 7 at most.");
	expect_error("{\"b\":1,\"opt\":\"1234\"}", -ERANGE, "opt is too long");
}

TEST(long_texts_of_users_are_cut_between_characters)
{
	char text[400] = "{\"b\":\"", msg[240] = "invalid type: string \"";

	for (unsigned i = 0; i < 100; i++)
		strcat(text, "\xe2\x82\xac");
	strcat(text, "\"}");
	for (unsigned i = 0; i < 21; i++)
		strcat(msg, "\xe2\x82\xac");
	strcat(msg, "\", expected u8 at line 1 column 307");
	expect_error(text, -EBADMSG, msg);
}

TEST(long_messages_keep_their_place)
{
	static struct json_field many[32];
	struct json_table t = { .name = "struct T", .fields = many, .n = 32, .strict = true };
	char out[1];
	struct err e = { 0 };

	for (unsigned i = 0; i < 32; i++)
		many[i] = (struct json_field){ .key = "a_key_of_some_length", .type = JSON_BOOL };
	CHECK_EQ(decode("{\"x\":1}", &t, out, &e), -EBADMSG);
	CHECK(strstr(e.msg, " at line 1 column 4") != NULL);
}

TEST(ignored_keys_are_scanned_all_the_same)
{
	struct inner in = { 0 };
	struct err e = { 0 };

	CHECK_EQ(decode("{\"z\":{\"w\":\"\"},\"w\":3,\"z\":[1,2]}", &inner_table, &in, &e), 0);
	CHECK_EQ(in.w, 3);
	CHECK_EQ(decode("{\"z\":{\"w\":01},\"w\":3}", &inner_table, &in, &e), -EBADMSG);
}

TEST(values_are_found_behind_containers)
{
	struct outer o = { 0 };
	struct err e = { 0 };
	unsigned n = 0;
	static const char text[] = "{\"list\":[{\"a\":[1,2]},[],null,7],\"b\":300}";
	auto_json struct json_doc *doc = NULL;

	CHECK_EQ(json_parse(text, strlen(text), &doc, &e), 0);
	CHECK_EQ(json_decode(json_root(doc), &outer_table, &o, NULL, &e), -EBADMSG);
	CHECK(strcmp(e.msg, "invalid value: integer `300`, expected u8 at line 1 column 39") == 0);
	json_for_each (v, o.list) {
		CHECK_EQ(json_is_empty_array(v), n == 1);
		CHECK_EQ(json_given(v), n != 2);
		n++;
	}
	CHECK_EQ(n, 4);
	CHECK(!json_given((struct json_value){ 0 }));
	CHECK(!json_is_empty_array((struct json_value){ 0 }));
}

TEST(partial_tables_ask_for_nothing)
{
	struct json_table partial = outer_table;
	struct outer from = { 0 }, to = { .q = 5, .b = 9 };
	static const char text[] = "{\"b\":null,\"q\":6,\"inner\":{\"w\":1}}";
	auto_json struct json_doc *doc = NULL;
	uint64_t given = 0;
	struct err e = { 0 };

	partial.partial = true;
	CHECK_EQ(json_parse(text, strlen(text), &doc, &e), 0);
	CHECK_EQ(json_decode(json_root(doc), &partial, &from, &given, &e), 0);
	CHECK_EQ(given, 1 << 1 | 1 << 7);
	json_merge(&partial, given, &from, &to);
	CHECK_EQ(to.b, 9);
	CHECK_EQ(to.q, 6);
	CHECK(to.has_inner);
	CHECK_EQ(to.inner.w, 1);
}

static void encode(const struct outer *o, const char *expected)
{
	char buf[512];
	struct text t = TEXT_ON(buf);

	json_encode(&t, &outer_table, o);
	CHECK(text_ok(&t));
	if (strcmp(buf, expected) != 0)
		fprintf(stderr, "# %s\n", buf);
	CHECK(strcmp(buf, expected) == 0);
}

TEST(encode)
{
	struct outer o = { .b = 255, .q = UINT64_MAX, .flag = true, .name = "a\"\n" };

	encode(&o, "{\"b\":255,\"q\":18446744073709551615,\"flag\":true,\"name\":\"a\\\"\\n\","
		   "\"opt\":null,\"colour\":\"Red\",\"any\":\"Red\",\"inner\":null}");
	o = (struct outer){ .opt = "x",
			    .colour = BLUE,
			    .any = GREEN,
			    .has_inner = true,
			    .inner = { .w = 65535, .d = UINT32_MAX } };
	encode(&o, "{\"b\":0,\"q\":0,\"flag\":false,\"name\":\"\",\"opt\":\"x\",\"any\":\"Green\","
		   "\"inner\":{\"w\":65535,\"d\":4294967295}}");
}

TEST(encode_of_nothing)
{
	static const struct json_table empty = { .name = "struct Empty" };
	char buf[8];
	struct text t = TEXT_ON(buf);

	json_encode(&t, &empty, &empty);
	CHECK(strcmp(buf, "{}") == 0);
}

TEST(upper_and_lower_case)
{
	struct outer o = { 0 };
	struct err e = { 0 };

	CHECK_EQ(decode("{\"b\":1,\"any\":\"gREEN\"}", &outer_table, &o, &e), 0);
	CHECK_EQ(o.any, GREEN);
}

TEST(every_allocation_may_fail)
{
	static const char text[] = "{\"b\":1,\"name\":\"x\",\"inner\":{\"w\":[1,\"a\"]}}";
	unsigned n;

	fault_arm(0);
	if (FAULT(-ENOMEM) == 0)
		SKIP("built without WISP_FAULTS");
	for (n = 0;; n++) {
		struct json_doc *doc = NULL;
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = json_parse(text, strlen(text), &doc, &e);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			json_destroy(doc);
			break;
		}
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(e.code, -ENOMEM);
		CHECK(doc == NULL && e.msg[0]);
	}
	CHECK(n > 5);
	json_destroy(NULL);
}
