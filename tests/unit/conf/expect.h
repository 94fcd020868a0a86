/* SPDX-License-Identifier: Apache-2.0 */
/* Bad bodies beside the errors that they must give. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/fault.h"
#include "test.h"

struct bad {
	const char *body;
	int code;
	const char *msg; /* as a prefix when it ends in '*' */
};

static inline void expect_msg(const char *what, const char *msg, const char *expected)
{
	size_t len = strlen(expected);
	bool prefix = len > 0 && expected[len - 1] == '*';

	if (prefix ? strncmp(msg, expected, len - 1) == 0 : strcmp(msg, expected) == 0)
		return;
	fprintf(stderr, "# %s\n# gave: %s\n# not:  %s\n", what, msg, expected);
	exit(1);
}

static inline void expect_err(const struct bad *b, int r, const struct err *e)
{
	if (r != b->code)
		fprintf(stderr, "# %s gave %d: %s\n", b->body, r, e->msg);
	CHECK_EQ(r, b->code);
	CHECK_EQ(e->code, b->code);
	CHECK_EQ(e->kind, ERR_INVALID);
	expect_msg(b->body, e->msg, b->msg);
}

/* `parse' is any of the functions (body, len, struct *ret, err) of this layer. */
#define EXPECT_ALL_BAD(parse, type, bads)                                       \
	do {                                                                    \
		static type ret_;                                               \
		for (unsigned i_ = 0; i_ < ARRAY_SIZE(bads); i_++) {            \
			const struct bad *b_ = &(bads)[i_];                     \
			struct err e_ = { 0 };                                  \
			int r_ = parse(b_->body, strlen(b_->body), &ret_, &e_); \
			expect_err(b_, r_, &e_);                                \
		}                                                               \
	} while (0)

/* Whether this build has fault points. */
static inline bool faults_work(void)
{
	bool works;

	fault_arm(0);
	works = FAULT(-ENOMEM) < 0;
	fault_arm(-1);
	return works;
}
