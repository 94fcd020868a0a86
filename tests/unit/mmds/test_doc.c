/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata documents: their text, what pointers lead to in both forms, merging, life. */
#include "mmds/doc.h"

#include "base/fault.h"
#include "mmds/expect.h"

static const char sample[] =
	" {\"name\":{\"second\":\"Doe\",\"first\":\"John\"},\"age\":43,\"phones\":[\"+401\","
	"{\"b\":1,\"a\":{}}],\"member\":false,\"nothing\":null,\"empty\":\"\",\"none\":{},"
	"\"a/b\":{\"~\":\"tilde\"},\"big\":18446744073709551616,\"esc\":\"a\\nb\"}";

static void finds(const struct mmds_doc *doc, const char *pointer, enum mmds_form form,
		  const char *want)
{
	struct mmds_slice found = { 0 };

	CHECK_EQ(mmds_doc_find(doc, (struct mmds_slice){ pointer, strlen(pointer) }, form, &found),
		 0);
	expect_slice(found, want);
}

static int find(const struct mmds_doc *doc, const char *pointer, enum mmds_form form)
{
	struct mmds_slice found;

	return mmds_doc_find(doc, (struct mmds_slice){ pointer, strlen(pointer) }, form, &found);
}

TEST(text_is_compact_and_sorted)
{
	auto_mmds_doc struct mmds_doc *doc = parse_doc("{\"b\": [1, 2.50],\n\"a\" : {} }");

	expect_slice(mmds_doc_text(doc), "{\"a\":{},\"b\":[1,2.50]}");
	CHECK_EQ(mmds_doc_text(doc).p[mmds_doc_text(doc).len], '\0');
	CHECK(!mmds_doc_is_none(doc));
}

TEST(values_as_json)
{
	auto_mmds_doc struct mmds_doc *doc = parse_doc(sample);

	finds(doc, "/name", MMDS_FORM_JSON, "{\"first\":\"John\",\"second\":\"Doe\"}");
	finds(doc, "/name/", MMDS_FORM_JSON, "{\"first\":\"John\",\"second\":\"Doe\"}");
	finds(doc, "/name/first", MMDS_FORM_JSON, "\"John\"");
	finds(doc, "/name/first/", MMDS_FORM_JSON, "\"John\"");
	finds(doc, "/age", MMDS_FORM_JSON, "43");
	finds(doc, "/member", MMDS_FORM_JSON, "false");
	finds(doc, "/nothing", MMDS_FORM_JSON, "null");
	finds(doc, "/phones/1", MMDS_FORM_JSON, "{\"a\":{},\"b\":1}");
	finds(doc, "/big", MMDS_FORM_JSON, "18446744073709551616");
	finds(doc, "/esc", MMDS_FORM_JSON, "\"a\\nb\"");
	finds(doc, "/a~1b/~0", MMDS_FORM_JSON, "\"tilde\"");
	expect_slice(mmds_doc_text(doc),
		     "{\"a/b\":{\"~\":\"tilde\"},\"age\":43,\"big\":18446744073709551616,"
		     "\"empty\":\"\",\"esc\":\"a\\nb\",\"member\":false,\"name\":{\"first\":"
		     "\"John\",\"second\":\"Doe\"},\"none\":{},\"nothing\":null,\"phones\":"
		     "[\"+401\",{\"a\":{},\"b\":1}]}");
}

TEST(values_as_text)
{
	auto_mmds_doc struct mmds_doc *doc = parse_doc(sample);

	finds(doc, "/", MMDS_FORM_TEXT,
	      "a/b/\nage\nbig\nempty\nesc\nmember\nname/\nnone/\nnothing\nphones");
	finds(doc, "", MMDS_FORM_TEXT,
	      "a/b/\nage\nbig\nempty\nesc\nmember\nname/\nnone/\nnothing\nphones");
	finds(doc, "/name", MMDS_FORM_TEXT, "first\nsecond");
	finds(doc, "/name/second", MMDS_FORM_TEXT, "Doe");
	finds(doc, "/phones/0", MMDS_FORM_TEXT, "+401");
	finds(doc, "/phones/1", MMDS_FORM_TEXT, "a/\nb");
	finds(doc, "/phones/1/a", MMDS_FORM_TEXT, "");
	finds(doc, "/none", MMDS_FORM_TEXT, "");
	finds(doc, "/empty", MMDS_FORM_TEXT, "");
	finds(doc, "/esc", MMDS_FORM_TEXT, "a\nb");
	CHECK_EQ(find(doc, "/age", MMDS_FORM_TEXT), -ENOTSUP);
	CHECK_EQ(find(doc, "/member", MMDS_FORM_TEXT), -ENOTSUP);
	CHECK_EQ(find(doc, "/nothing", MMDS_FORM_TEXT), -ENOTSUP);
	CHECK_EQ(find(doc, "/phones", MMDS_FORM_TEXT), -ENOTSUP);
}

TEST(what_is_not_there)
{
	static const char *const pointers[] = { "/x",	      "/name/x", "/name/first/x",
						"/phones/2",  "/Name",	 "/name//first",
						"/a/b",	      "name",	 "/name/first//",
						"/phones/01", "//" };
	auto_mmds_doc struct mmds_doc *doc = parse_doc(sample);

	for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++) {
		CHECK_EQ(find(doc, pointers[i], MMDS_FORM_JSON), -ENOENT);
		CHECK_EQ(find(doc, pointers[i], MMDS_FORM_TEXT), -ENOENT);
	}
}

TEST(before_there_is_a_document)
{
	auto_mmds_doc struct mmds_doc *none = NULL, *some = parse_doc("{}");
	struct err e = { 0 };

	CHECK_EQ(mmds_doc_none(&none, &e), 0);
	CHECK(mmds_doc_is_none(none) && !mmds_doc_is_none(some));
	finds(none, "/", MMDS_FORM_JSON, "null");
	CHECK_EQ(find(none, "/", MMDS_FORM_TEXT), -ENOTSUP);
	CHECK_EQ(find(none, "/a", MMDS_FORM_TEXT), -ENOENT);
}

TEST(merging_makes_a_new_document)
{
	auto_mmds_doc struct mmds_doc *old = parse_doc("{\"a\":{\"x\":1,\"y\":2},\"b\":3}");
	auto_mmds_doc struct mmds_doc *patch =
		parse_doc("{\"a\":{\"y\":null,\"z\":{\"q\":null,\"r\":\"s\"}},\"c\":\"d\"}");
	auto_mmds_doc struct mmds_doc *new = NULL;
	struct err e = { 0 };

	CHECK_EQ(mmds_doc_merge(old, patch, &new, &e), 0);
	expect_slice(mmds_doc_text(new),
		     "{\"a\":{\"x\":1,\"z\":{\"r\":\"s\"}},\"b\":3,\"c\":\"d\"}");
	expect_slice(mmds_doc_text(old), "{\"a\":{\"x\":1,\"y\":2},\"b\":3}");
	finds(new, "/a", MMDS_FORM_TEXT, "x\nz/");
	finds(new, "/a/z/r", MMDS_FORM_TEXT, "s");
}

TEST(it_lives_as_long_as_somebody_has_it)
{
	struct mmds_doc *doc = parse_doc("{\"a\":\"b\"}");
	struct mmds_slice found;

	CHECK(mmds_doc_ref(doc) == doc);
	CHECK_EQ(mmds_doc_find(doc, (struct mmds_slice){ "/a", 2 }, MMDS_FORM_TEXT, &found), 0);
	mmds_doc_unref(doc);
	expect_slice(found, "b");
	mmds_doc_unref(doc);
	mmds_doc_unref(NULL);
}

TEST(what_is_no_json_is_refused)
{
	struct mmds_doc *doc = NULL;
	struct err e = { 0 };

	CHECK_EQ(mmds_doc_parse("{\"a\":}", 6, &doc, &e), -EBADMSG);
	expect_text(e.msg, strlen(e.msg), "expected value at line 1 column 6");
	CHECK_EQ(mmds_doc_parse("[1]", 3, &doc, &e), -EBADMSG);
	expect_text(e.msg, strlen(e.msg),
		    "invalid type: sequence, expected a map at line 1 column 0");
	CHECK_EQ(mmds_doc_parse("null", 4, &doc, &e), -EBADMSG);
	CHECK_EQ(mmds_doc_parse("\"x\"", 3, &doc, &e), -EBADMSG);
	CHECK(doc == NULL);
}

TEST(every_allocation_may_fail)
{
	auto_mmds_doc struct mmds_doc *patch = parse_doc("{\"b\":{\"c\":2}}");
	long n;

	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	for (n = 0;; n++) {
		struct mmds_doc *doc = NULL, *merged = NULL;
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = mmds_doc_parse("{\"a\":{\"b\":1}}", 13, &doc, &e);
		if (r == 0)
			r = mmds_doc_merge(doc, patch, &merged, &e);
		mmds_doc_unref(doc);
		mmds_doc_unref(merged);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		CHECK_EQ(r, -ENOMEM);
		CHECK(e.msg[0] != '\0' && merged == NULL);
	}
	CHECK(n > 20);
}
