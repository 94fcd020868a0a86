/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "test.h"

TEST(set_keeps_kind_code_and_text)
{
	struct err e = { 0 };

	CHECK_EQ(err_set(&e, ERR_STATE, -EBUSY, "drive `%s' is %d", "a", 7), -EBUSY);
	CHECK_EQ(e.kind, ERR_STATE);
	CHECK_EQ(e.code, -EBUSY);
	CHECK(strcmp(e.msg, "drive `a' is 7") == 0);
}

TEST(wrap_puts_context_before)
{
	struct err e = { 0 };

	(void)!err_set(&e, ERR_INVALID, -ENOENT, "no such file");
	CHECK_EQ(err_wrap(&e, "drive `%s'", "root"), -ENOENT);
	CHECK_EQ(err_wrap(&e, "config"), -ENOENT);
	CHECK(strcmp(e.msg, "config: drive `root': no such file") == 0);
	CHECK_EQ(e.kind, ERR_INVALID);
}

TEST(long_texts_are_cut_and_terminated)
{
	for (size_t len = 0; len < 300; len++) {
		struct err e = { 0 };
		char text[301];
		size_t kept = len < sizeof(e.msg) ? len : sizeof(e.msg) - 1;

		memset(text, 'x', len);
		text[len] = '\0';
		(void)!err_set(&e, ERR_INTERNAL, -EIO, "%s", text);
		CHECK_EQ(strlen(e.msg), kept);
		(void)!err_wrap(&e, "%s", text);
		kept += (len < 96 ? len : 95) + 2;
		CHECK_EQ(strlen(e.msg), kept < sizeof(e.msg) ? kept : sizeof(e.msg) - 1);
		CHECK_EQ(e.code, -EIO);
	}
}
