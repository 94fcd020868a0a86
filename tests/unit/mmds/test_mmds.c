/* SPDX-License-Identifier: Apache-2.0 */
/* The store: both sides of its limit, the order of PUT and PATCH, failures. */
#include "mmds/mmds.h"

#include "base/fault.h"
#include "mmds/expect.h"

static int put(struct mmds *mmds, const char *text, struct err *e)
{
	return mmds_put(mmds, parse_doc(text), e);
}

static int patch(struct mmds *mmds, const char *text, struct err *e)
{
	return mmds_patch(mmds, parse_doc(text), e);
}

static void shows(const struct mmds *mmds, const char *want)
{
	expect_text(mmds_text(mmds), strlen(mmds_text(mmds)), want);
}

TEST(put_then_patch)
{
	struct mmds *mmds = make_mmds(NULL, 51200);
	struct err e = { 0 };

	shows(mmds, "{}");
	CHECK_EQ(patch(mmds, "{\"a\":1}", &e), -ENODATA);
	CHECK_EQ(e.kind, ERR_STATE);
	expect_text(e.msg, strlen(e.msg), "The MMDS data store is not initialized.");
	shows(mmds, "{}");
	CHECK_EQ(put(mmds, "{\"b\":2,\"a\":1}", &e), 0);
	shows(mmds, "{\"a\":1,\"b\":2}");
	CHECK_EQ(patch(mmds, "{\"a\":null,\"c\":{\"d\":3}}", &e), 0);
	shows(mmds, "{\"b\":2,\"c\":{\"d\":3}}");
	CHECK_EQ(put(mmds, "{}", &e), 0);
	shows(mmds, "{}");
	CHECK_EQ(patch(mmds, "{\"a\":1}", &e), 0);
	shows(mmds, "{\"a\":1}");
	mmds_destroy(mmds);
	mmds_destroy(NULL);
}

TEST(limit_of_a_document)
{
	struct mmds *mmds = make_mmds(NULL, 20);
	struct err e = { 0 };

	CHECK_EQ(put(mmds, "{ \"a\" : \"1234567890123\" }", &e), -EFBIG); /* 21 when compact */
	CHECK_EQ(e.kind, ERR_TOO_LARGE);
	expect_text(e.msg, strlen(e.msg), "The MMDS patch request doesn't fit.");
	shows(mmds, "{}");
	CHECK_EQ(patch(mmds, "{}", &e), -ENODATA); /* nothing was put */
	CHECK_EQ(put(mmds, "{ \"a\" : \"123456789012\" }", &e), 0);
	shows(mmds, "{\"a\":\"123456789012\"}");
	CHECK_EQ(patch(mmds, "{\"b\":1}", &e), -EFBIG);
	CHECK_EQ(e.kind, ERR_TOO_LARGE);
	shows(mmds, "{\"a\":\"123456789012\"}");
	CHECK_EQ(patch(mmds, "{\"a\":\"123456\",\"b\":1}", &e), 0); /* 20 */
	shows(mmds, "{\"a\":\"123456\",\"b\":1}");
	CHECK_EQ(patch(mmds, "{\"a\":\"1234567\"}", &e), -EFBIG);	   /* 21 */
	CHECK_EQ(patch(mmds, "{\"a\":null,\"b\":12345678901234}", &e), 0); /* 20 */
	shows(mmds, "{\"b\":12345678901234}");
	mmds_destroy(mmds);
}

TEST(every_allocation_may_fail)
{
	long n;

	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	for (n = 0;; n++) {
		struct mmds *mmds = NULL;
		struct err e = { 0 };
		struct mmds_doc *one = parse_doc("{\"a\":1}"), *two = parse_doc("{\"b\":1}");
		int r;

		fault_arm(n);
		r = mmds_create("x", 100, &mmds, &e);
		if (r == 0)
			r = mmds_put(mmds, take_ptr(&one), &e);
		if (r == 0)
			r = mmds_patch(mmds, take_ptr(&two), &e);
		if (r < 0 && mmds && !two)
			shows(mmds, "{\"a\":1}");
		mmds_doc_unref(one);
		mmds_doc_unref(two);
		mmds_destroy(mmds);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		CHECK(r == -ENOMEM || r == -EIO);
		CHECK(e.msg[0] != '\0');
	}
	CHECK(n > 20);
}
