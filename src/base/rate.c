/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rate.h"

typedef unsigned __int128 u128;

static bool unlimited(const struct rate_bucket *b)
{
	return b->cfg.size == 0 || b->cfg.refill_time_ms == 0;
}

/* Microseconds in which an empty bucket fills; up to 2^74. */
static u128 period(const struct rate_bucket *b)
{
	return (u128)b->cfg.refill_time_ms * USEC_PER_MSEC;
}

void rate_bucket_init(struct rate_bucket *b, const struct rate_cfg *cfg, usec_t now)
{
	*b = (struct rate_bucket){
		.cfg = *cfg,
		.tokens = cfg->size,
		.burst = cfg->one_time_burst,
		.updated = now,
	};
}

static void refill(struct rate_bucket *b, usec_t now)
{
	uint64_t elapsed = now > b->updated ? now - b->updated : 0;
	/* Fits: the rest is what time before this brought, and all time is below 2^64. */
	u128 sum = (u128)elapsed * b->cfg.size + b->rest;
	u128 gain = sum / period(b);

	b->rest = sum % period(b);
	b->updated += elapsed;
	if (gain < b->debt) {
		b->debt -= (uint64_t)gain;
		return;
	}
	gain -= b->debt;
	b->debt = 0;
	if (gain < b->cfg.size - b->tokens) {
		b->tokens += (uint64_t)gain;
	} else {
		b->tokens = b->cfg.size;
		b->rest = 0; /* a full bucket saves nothing up */
	}
}

/* Tokens that the bucket itself must give once the burst is spent. */
static uint64_t beyond_burst(const struct rate_bucket *b, uint64_t n)
{
	return n > b->burst ? n - b->burst : 0;
}

bool rate_bucket_take(struct rate_bucket *b, uint64_t n, usec_t now)
{
	uint64_t need = beyond_burst(b, n);

	if (unlimited(b) || n == 0)
		return true;
	refill(b, now);
	if (need > b->cfg.size ? b->debt > 0 : need > b->tokens)
		return false;
	b->burst -= n - need;
	if (need > b->tokens) {
		b->debt = need - b->tokens;
		b->tokens = 0;
	} else {
		b->tokens -= need;
	}
	return true;
}

void rate_bucket_give_back(struct rate_bucket *b, uint64_t n)
{
	uint64_t part = n < b->debt ? n : b->debt;

	if (unlimited(b))
		return;
	b->debt -= part;
	n -= part;
	part = b->cfg.size - b->tokens;
	if (n < part)
		part = n;
	b->tokens += part;
	n -= part;
	part = b->cfg.one_time_burst - b->burst;
	b->burst += n < part ? n : part;
}

usec_t rate_bucket_due(struct rate_bucket *b, uint64_t n, usec_t now)
{
	uint64_t need = beyond_burst(b, n);
	u128 missing, wait;

	if (unlimited(b) || n == 0)
		return now;
	refill(b, now);
	if (need > b->cfg.size)
		missing = b->debt;
	else
		missing = need > b->tokens ? (u128)b->debt + (need - b->tokens) : 0;
	if (missing == 0)
		return now;
	if (__builtin_mul_overflow(missing, period(b), &wait))
		return UINT64_MAX;
	wait = (wait - b->rest + b->cfg.size - 1) / b->cfg.size; /* rest < period <= wait */
	if (now < b->updated)
		now = b->updated; /* what has come so far was counted up to there */
	return wait < UINT64_MAX - now ? now + (usec_t)wait : UINT64_MAX;
}

bool rate_limiter_take(struct rate_limiter *l, uint64_t bytes, usec_t now)
{
	if (!rate_bucket_take(&l->ops, 1, now))
		return false;
	if (rate_bucket_take(&l->bandwidth, bytes, now))
		return true;
	rate_bucket_give_back(&l->ops, 1);
	return false;
}

void rate_limiter_give_back(struct rate_limiter *l, uint64_t bytes)
{
	rate_bucket_give_back(&l->ops, 1);
	rate_bucket_give_back(&l->bandwidth, bytes);
}

usec_t rate_limiter_due(struct rate_limiter *l, uint64_t bytes, usec_t now)
{
	usec_t ops = rate_bucket_due(&l->ops, 1, now);
	usec_t bandwidth = rate_bucket_due(&l->bandwidth, bytes, now);

	return ops > bandwidth ? ops : bandwidth;
}
