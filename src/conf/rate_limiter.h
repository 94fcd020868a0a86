/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits as users write them. A bucket of size 0 or with a refill time of 0
 * does not limit anything.
 */
#pragma once

#include "base/cc.h"
#include "base/text.h"

struct conf_token_bucket {
	uint64_t size; /* bytes or operations */
	uint64_t refill_time_ms;
	uint64_t one_time_burst; /* 0: none */
	bool has_one_time_burst;
};

struct conf_rate_limiter {
	struct conf_token_bucket bandwidth; /* bytes */
	struct conf_token_bucket ops;
	bool has_bandwidth, has_ops;
};

/* Whether the bucket limits anything. */
bool conf_token_bucket_enabled(const struct conf_token_bucket *b);

/* Whether either bucket is there and limits anything. */
bool conf_rate_limiter_enabled(const struct conf_rate_limiter *r);

/* Forgets what limits nothing: disabled buckets and empty bursts. */
void conf_rate_limiter_normalise(struct conf_rate_limiter *r);

/*
 * A PATCH: the buckets that it has replace those of `r', the others stay; a disabled
 * one removes its limit. The result is normalised.
 */
void conf_rate_limiter_update(struct conf_rate_limiter *r, const struct conf_rate_limiter *patch);
