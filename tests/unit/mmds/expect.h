/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this layer compare and make alike. */
#pragma once

#include "mmds/mmds.h"
#include "test.h"

static inline void expect_text(const char *got, size_t len, const char *want)
{
	if (len == strlen(want) && memcmp(got, want, len) == 0)
		return;
	fprintf(stderr, "# %.*s\n# not %s\n", (int)len, got, want);
	exit(1);
}

static inline void expect_slice(struct mmds_slice got, const char *want)
{
	expect_text(got.p, got.len, want);
}

static inline struct mmds_doc *parse_doc(const char *text)
{
	struct mmds_doc *doc = NULL;
	struct err e = { 0 };

	CHECK_EQ(mmds_doc_parse(text, strlen(text), &doc, &e), 0);
	return doc;
}

static inline struct mmds *make_mmds(const char *text, size_t limit)
{
	struct mmds *mmds = NULL;
	struct err e = { 0 };

	CHECK_EQ(mmds_create("unit-test", limit, &mmds, &e), 0);
	if (text)
		CHECK_EQ(mmds_put(mmds, parse_doc(text), &e), 0);
	return mmds;
}
