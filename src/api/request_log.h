/* SPDX-License-Identifier: Apache-2.0 */
/* The log line of a request as it came, before anything is decided about it. */
#pragma once

#include "api/route.h"
#include "base/text.h"

/* Writes: The API server received a Put request on "/x" with body "{\"a\":1}". */
void request_log(const struct route_req *req);

/* Text in quotes and with the escapes of the contract's log lines (Rust's {:?}). */
void request_log_quote(struct text *t, const char *s, size_t len);
