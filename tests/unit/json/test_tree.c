/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of any shape: the tables of RFC 7396 and RFC 6901, order, exact numbers. */
#include "json/json.h"

#include "base/fault.h"
#include "test.h"

static struct json_doc *parse(const char *text)
{
	struct json_doc *doc = NULL;
	struct err e = { 0 };

	CHECK_EQ(json_parse(text, strlen(text), &doc, &e), 0);
	json_sort(doc);
	return doc;
}

static void expect(const char *got, const char *want)
{
	if (strcmp(got, want) == 0)
		return;
	fprintf(stderr, "# %s\n# not %s\n", got, want);
	exit(1);
}

static void prints(const char *text, const char *want)
{
	auto_json struct json_doc *doc = parse(text);
	char buf[1024];
	struct text t = TEXT_ON(buf);

	json_print(&t, json_root(doc));
	expect(buf, want);
	CHECK(t.len <= strlen(text));
}

TEST(printed_compact_and_sorted)
{
	prints(" { \"b\" : [ 1 , true,null ,\"\\u0061\\/\" ] ,\n\"a\":{ } , \"\":[]}",
	       "{\"\":[],\"a\":{},\"b\":[1,true,null,\"a/\"]}");
	prints("{\"z\":{\"y\":1,\"x\":{\"c\":0,\"b\":0}},\"\xc3\xa4\":0,\"Z\":0}",
	       "{\"Z\":0,\"z\":{\"x\":{\"b\":0,\"c\":0},\"y\":1},\"\xc3\xa4\":0}");
	prints("[{\"b\":1,\"a\":2},{\"d\":1,\"c\":2}]", "[{\"a\":2,\"b\":1},{\"c\":2,\"d\":1}]");
	prints("\"x\\ty\"", "\"x\\ty\"");
	prints(" false ", "false");
}

TEST(numbers_stay_as_written)
{
	prints("[18446744073709551616,9007199254740993,-0,1e400,0.1000,1E+2]",
	       "[18446744073709551616,9007199254740993,-0,1e400,0.1000,1E+2]");
}

TEST(the_last_of_several_with_one_key_stays)
{
	prints("{\"a\":1,\"b\":2,\"a\":{\"c\":3,\"c\":4},\"b\":5,\"b\":6}",
	       "{\"a\":{\"c\":4},\"b\":6}");
	prints("{\"a\":1,\"\\u0061\":2}", "{\"a\":2}");
}

/* 7919 * 7679 = 1 modulo 10000: the member with key k was written with number k * 7679. */
TEST(many_members_are_sorted)
{
	static char text[200000], want[200000], got[200000];
	struct text t = TEXT_ON(text), w = TEXT_ON(want), g = TEXT_ON(got);
	auto_json struct json_doc *doc = NULL;

	for (unsigned i = 0; i < 10000; i++) {
		text_fmt(&t, "%s\"%04u\":%u", i ? "," : "{", i * 7919 % 10000, i);
		text_fmt(&w, "%s\"%04u\":%u", i ? "," : "{", i, i * 7679 % 10000);
	}
	text_str(&t, "}");
	text_str(&w, "}");
	doc = parse(text);
	json_print(&g, json_root(doc));
	CHECK(text_ok(&g) && strcmp(got, want) == 0);
}

static void merges(const char *target, const char *patch, const char *want)
{
	auto_json struct json_doc *a = parse(target);
	auto_json struct json_doc *b = parse(patch);
	char buf[1024];
	struct text t = TEXT_ON(buf);

	json_print_merged(&t, json_root(a), json_root(b));
	expect(buf, want);
	CHECK(t.len <= strlen(target) + strlen(patch));
}

/* RFC 7396, appendix A, all of it. */
TEST(merge_patches_of_the_rfc)
{
	static const struct {
		const char *target, *patch, *want;
	} rows[] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		  "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		merges(rows[i].target, rows[i].patch, rows[i].want);
}

TEST(merge_patches_beyond_the_rfc)
{
	merges("{\"a\":1,\"c\":{\"x\":1,\"z\":2},\"e\":5}",
	       "{\"f\":6,\"c\":{\"y\":[{\"k\":null}]},\"b\":2,\"a\":null,\"zz\":null}",
	       "{\"b\":2,\"c\":{\"x\":1,\"y\":[{\"k\":null}],\"z\":2},\"e\":5,\"f\":6}");
	merges("{\"a\":5}", "{\"a\":{\"b\":{\"c\":1}}}", "{\"a\":{\"b\":{\"c\":1}}}");
	merges("{\"a\":18446744073709551616}", "{\"b\":-1.50}",
	       "{\"a\":18446744073709551616,\"b\":-1.50}");
}

static void finds(struct json_doc *doc, const char *pointer, const char *want)
{
	struct json_value v = json_lookup(json_root(doc), pointer, strlen(pointer));
	char buf[512];
	struct text t = TEXT_ON(buf);

	if (!want) {
		CHECK(v.node == NULL);
		return;
	}
	CHECK(v.node != NULL);
	json_print(&t, v);
	expect(buf, want);
}

/* RFC 6901, 5. */
TEST(pointers_of_the_rfc)
{
	auto_json struct json_doc *doc = parse(
		"{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
		"\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");

	finds(doc, "/foo", "[\"bar\",\"baz\"]");
	finds(doc, "/foo/0", "\"bar\"");
	finds(doc, "/", "0");
	finds(doc, "/a~1b", "1");
	finds(doc, "/c%d", "2");
	finds(doc, "/e^f", "3");
	finds(doc, "/g|h", "4");
	finds(doc, "/i\\j", "5");
	finds(doc, "/k\"l", "6");
	finds(doc, "/ ", "7");
	finds(doc, "/m~0n", "8");
	CHECK(json_lookup(json_root(doc), "", 0).node != NULL);
}

TEST(pointers_that_lead_nowhere)
{
	auto_json struct json_doc *doc = parse("{\"a\":[1,[2,3]],\"b\":{\"c\":\"x\"},\"~1\":9}");

	finds(doc, "/a/1/1", "3");
	finds(doc, "/b/c", "\"x\"");
	finds(doc, "/~01", "9");
	finds(doc, "a", NULL);
	finds(doc, "/a/2", NULL);
	finds(doc, "/a/01", NULL);
	finds(doc, "/a/+1", NULL);
	finds(doc, "/a/-", NULL);
	finds(doc, "/a/", NULL);
	finds(doc, "/a/99999999999999999999", NULL);
	finds(doc, "/a/4294967296", NULL);
	finds(doc, "/b/", NULL);
	finds(doc, "/b/cc", NULL);
	finds(doc, "/b/c/x", NULL);
	finds(doc, "/B", NULL);
	finds(doc, "/~1", NULL);
	finds(doc, "/~", NULL);
}

TEST(kinds_and_texts)
{
	auto_json struct json_doc *doc = parse("[null,true,-1.5,\"a\\n\",[ ],{ \"k\" : 1 }]");
	static const enum json_kind kinds[] = {
		JSON_KIND_NULL,	  JSON_KIND_BOOL,  JSON_KIND_NUMBER,
		JSON_KIND_STRING, JSON_KIND_ARRAY, JSON_KIND_OBJECT
	};
	static const char *const texts[] = { "null",	 "true", "-1.5",
					     "\"a\\n\"", "[ ]",	 "{ \"k\" : 1 }" };
	unsigned i = 0;

	json_for_each (v, json_root(doc)) {
		const char *text;
		size_t len;

		CHECK_EQ(json_kind(v), kinds[i]);
		text = json_text(v, &len);
		CHECK(len == strlen(texts[i]) && memcmp(text, texts[i], len) == 0);
		i++;
	}
	CHECK_EQ(i, ARRAY_SIZE(kinds));
	expect(json_string(json_lookup(json_root(doc), "/3", 2)), "a\n");
}

TEST(the_deepest_document)
{
	char text[2 * JSON_DEPTH_MAX + 2], pointer[3 * JSON_DEPTH_MAX], buf[2 * JSON_DEPTH_MAX + 2];
	struct text t = TEXT_ON(buf), p = TEXT_ON(pointer);
	auto_json struct json_doc *doc = NULL;

	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	text[2 * JSON_DEPTH_MAX] = '\0';
	doc = parse(text);
	json_print(&t, json_root(doc));
	expect(buf, text);
	for (unsigned i = 1; i < JSON_DEPTH_MAX; i++)
		text_str(&p, "/0");
	finds(doc, pointer, "[]");
	text_str(&p, "/0");
	finds(doc, pointer, NULL);
}

TEST(a_value_refused_says_where)
{
	auto_json struct json_doc *doc = parse("{\"a\":\n \"x\"}");
	struct err e = { 0 };

	CHECK_EQ(json_refuse(json_lookup(json_root(doc), "/a", 2), "no such thing", &e), -EBADMSG);
	expect(e.msg, "no such thing at line 2 column 4");
}
