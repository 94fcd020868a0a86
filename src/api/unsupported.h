/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Firecracker serves and this version does not: such a request gets an answer
 * that says so, instead of "invalid path", which would send people to look for a typing
 * mistake. A resource that is implemented leaves this table.
 */
#pragma once

#include "api/route.h"

/* 0: not known here either; else -EOPNOTSUPP, or -EINVAL with the contract's text. */
must_check int unsupported_check(enum route_method method, const struct route_token *tokens,
				 struct err *e);
