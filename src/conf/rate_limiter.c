/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/rate_limiter.h"

#include "conf/decode.h"

static const struct json_field bucket_fields[] = {
	JSON_ROW("size", JSON_UINT, conf_token_bucket, size, .shown = "u64", .required = true),
	JSON_ROW("one_time_burst", JSON_UINT, conf_token_bucket, one_time_burst, .shown = "u64",
		 .nullable = true, JSON_HAS(conf_token_bucket, has_one_time_burst)),
	JSON_ROW("refill_time", JSON_UINT, conf_token_bucket, refill_time_ms, .shown = "u64",
		 .required = true),
};

const struct json_table conf_token_bucket_table = {
	.name = "struct TokenBucketConfig",
	JSON_FIELDS(bucket_fields),
};

static const struct json_field limiter_fields[] = {
	JSON_ROW("bandwidth", JSON_OBJECT, conf_rate_limiter, bandwidth, .nullable = true,
		 .table = &conf_token_bucket_table, JSON_HAS(conf_rate_limiter, has_bandwidth)),
	JSON_ROW("ops", JSON_OBJECT, conf_rate_limiter, ops, .nullable = true,
		 .table = &conf_token_bucket_table, JSON_HAS(conf_rate_limiter, has_ops)),
};

const struct json_table conf_rate_limiter_table = {
	.name = "struct RateLimiterConfig",
	JSON_FIELDS(limiter_fields),
	.strict = true,
};

bool conf_token_bucket_enabled(const struct conf_token_bucket *b)
{
	return b->size > 0 && b->refill_time_ms > 0;
}

bool conf_rate_limiter_enabled(const struct conf_rate_limiter *r)
{
	return (r->has_bandwidth && conf_token_bucket_enabled(&r->bandwidth)) ||
	       (r->has_ops && conf_token_bucket_enabled(&r->ops));
}

static void normalise(struct conf_token_bucket *b, bool *has)
{
	*has = *has && conf_token_bucket_enabled(b);
	if (!*has)
		*b = (struct conf_token_bucket){ 0 };
	b->has_one_time_burst = b->has_one_time_burst && b->one_time_burst > 0;
}

void conf_rate_limiter_normalise(struct conf_rate_limiter *r)
{
	normalise(&r->bandwidth, &r->has_bandwidth);
	normalise(&r->ops, &r->has_ops);
}

void conf_rate_limiter_update(struct conf_rate_limiter *r, const struct conf_rate_limiter *patch)
{
	if (patch->has_bandwidth) {
		r->bandwidth = patch->bandwidth;
		r->has_bandwidth = true;
	}
	if (patch->has_ops) {
		r->ops = patch->ops;
		r->has_ops = true;
	}
	conf_rate_limiter_normalise(r);
}
