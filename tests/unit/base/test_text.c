/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "test.h"

/* Something of every kind; 64 bytes of text. */
static void fill(struct text *t)
{
	text_str(t, "name=");
	text_u64(t, UINT64_MAX);
	text_fmt(t, ",%s:%d;", "fmt", -42);
	text_json_str(t, "a\"\\\n\x1f/");
	text_mem(t, "ABCDEFG", 7);
}

TEST(every_length_is_cut_at_its_end)
{
	char whole[256];
	struct text all;
	size_t len;

	text_init(&all, whole, sizeof(whole));
	fill(&all);
	CHECK(text_ok(&all));
	len = strlen(whole);
	CHECK_EQ(all.len, len);
	CHECK(strcmp(whole, "name=18446744073709551615,fmt:-42;\"a\\\"\\\\\\n\\u001f/\"ABCDEFG") ==
	      0);

	for (size_t cap = 1; cap <= len + 2; cap++) {
		char buf[258];
		struct text t;

		memset(buf, 0x7e, sizeof(buf));
		text_init(&t, buf, cap);
		CHECK_EQ(buf[0], 0);
		fill(&t);
		CHECK_EQ(text_ok(&t), cap > len);
		CHECK_EQ(buf[cap], 0x7e); /* nothing beyond */
		CHECK(t.len < cap);
		CHECK_EQ(buf[t.len], 0);
		CHECK_EQ(strlen(buf), t.len);
		if (cap > len)
			CHECK(strcmp(buf, whole) == 0);
	}
}

TEST(each_appender_at_its_limit)
{
	for (size_t cap = 1; cap < 12; cap++) {
		char buf[16];
		struct text t;

		text_init(&t, buf, cap);
		text_str(&t, "12345");
		CHECK_EQ(text_ok(&t), cap >= 6);
		text_init(&t, buf, cap);
		text_u64(&t, 12345);
		CHECK_EQ(text_ok(&t), cap >= 6);
		text_init(&t, buf, cap);
		text_fmt(&t, "%d", 12345);
		CHECK_EQ(text_ok(&t), cap >= 6);
		CHECK(strncmp(buf, "12345", cap - 1) == 0);
		text_init(&t, buf, cap);
		text_json_str(&t, "123");
		CHECK_EQ(text_ok(&t), cap >= 6);
	}
}

TEST(full_stays_full)
{
	char buf[4];
	struct text t;

	text_init(&t, buf, sizeof(buf));
	text_str(&t, "abcd");
	CHECK(!text_ok(&t));
	text_fmt(&t, "%s", "x");
	text_u64(&t, 0);
	CHECK(!text_ok(&t));
	CHECK(strcmp(buf, "abc") == 0);
}

TEST(numbers)
{
	static const struct {
		uint64_t v;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ (UINT64_C(1) << 53) + 1, "9007199254740993" },
		{ UINT64_MAX, "18446744073709551615" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char buf[24];
		struct text t = TEXT_ON(buf);

		text_u64(&t, rows[i].v);
		CHECK(strcmp(buf, rows[i].text) == 0);
	}
}

TEST(json_escapes_what_json_forbids)
{
	static const char letters[] = "\bb\ff\nn\rr\tt";

	for (unsigned c = 1; c < 256; c++) {
		char in[2] = { (char)c, 0 };
		char buf[16], want[16];
		struct text t = TEXT_ON(buf);

		text_json_str(&t, in);
		if (c == '"' || c == '\\')
			snprintf(want, sizeof(want), "\"\\%c\"", c);
		else if (c < 0x20 && strchr(letters, (int)c))
			snprintf(want, sizeof(want), "\"\\%c\"", strchr(letters, (int)c)[1]);
		else if (c < 0x20)
			snprintf(want, sizeof(want), "\"\\u%04x\"", c);
		else
			snprintf(want, sizeof(want), "\"%c\"", c);
		CHECK(strcmp(buf, want) == 0);
	}
}
