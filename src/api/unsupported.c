/* SPDX-License-Identifier: Apache-2.0 */
#include "api/unsupported.h"

enum {
	GET = 1U << ROUTE_GET,
	PUT = 1U << ROUTE_PUT,
	PATCH = 1U << ROUTE_PATCH,
};

static const struct {
	unsigned methods;
	const char *first, *second; /* NULL: any */
	const char *what;
} missing[] = {
	{ GET | PUT | PATCH, "mmds", NULL, "The metadata service" },
};

static int check_snapshot(const struct route_token *tokens, struct err *e)
{
	int len = tokens[1].len < 100 ? (int)tokens[1].len : 100;

	if (len == 0)
		return err_set(e, ERR_INVALID, -EINVAL, "Missing snapshot operation type.");
	return err_set(e, ERR_INVALID, -EINVAL,
		       "Invalid request method and/or path: PUT /snapshot/%.*s.", len, tokens[1].s);
}

int unsupported_check(enum route_method method, const struct route_token *tokens, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
		if ((missing[i].methods & (1U << method)) &&
		    route_token_is(tokens[0], missing[i].first) &&
		    (!missing[i].second || route_token_is(tokens[1], missing[i].second)))
			return err_set(e, ERR_INVALID, -EOPNOTSUPP,
				       "The requested operation is not supported: %s is not part "
				       "of this version of wisp.",
				       missing[i].what);
	}
	if (method == ROUTE_PUT && route_token_is(tokens[0], "snapshot"))
		return check_snapshot(tokens, e);
	return 0;
}
