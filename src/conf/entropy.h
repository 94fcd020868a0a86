/* SPDX-License-Identifier: Apache-2.0 */
/* /entropy: the random number device. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/rate_limiter.h"

struct conf_entropy {
	struct conf_rate_limiter rate_limiter; /* normalised */
	bool has_rate_limiter;
};

/* The body of a PUT, decoded. On error *ret is undefined. */
must_check int conf_entropy_parse(const char *body, size_t len, struct conf_entropy *ret,
				  struct err *e);

void conf_entropy_print(struct text *t, const struct conf_entropy *c);
