/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits: token buckets, and the pair of them that a device has.
 *
 * A bucket of `size' tokens fills evenly within `refill_time_ms'. A one-time burst is
 * spent before it and never comes back. A request larger than the bucket could
 * never be met, so it passes when nothing is owed and leaves a debt that the
 * refill pays first: the long-term rate stays exact. All integers, no rounding that
 * adds up, any u64 in every field.
 *
 * Not locked: the owner's thread or lock. Time comes from the caller and is
 * CLOCK_MONOTONIC; a bucket loaded from a snapshot is given its `updated' anew.
 */
#pragma once

#include "base/clock.h"

struct rate_cfg { /* size or refill_time_ms 0: no limit */
	uint64_t size;
	uint64_t refill_time_ms;
	uint64_t one_time_burst;
};

struct rate_bucket {
	struct rate_cfg cfg;
	uint64_t tokens, burst, debt;
	unsigned __int128 rest; /* of the last division, below one token */
	usec_t updated;
};

/* Full, with the whole burst. Also replaces the limits of a bucket in use. */
void rate_bucket_init(struct rate_bucket *b, const struct rate_cfg *cfg, usec_t now);

/* Takes all n tokens or none. No tokens, or no limit: true. */
must_check bool rate_bucket_take(struct rate_bucket *b, uint64_t n, usec_t now);

/* Returns tokens taken for work that was not done. */
void rate_bucket_give_back(struct rate_bucket *b, uint64_t n);

/* When n tokens will be there, `now' if they are; UINT64_MAX: beyond the clock. */
usec_t rate_bucket_due(struct rate_bucket *b, uint64_t n, usec_t now);

struct rate_limiter { /* zeros: no limits */
	struct rate_bucket bandwidth;
	struct rate_bucket ops;
};

/* One operation of `bytes' bytes: from both buckets or from none. */
must_check bool rate_limiter_take(struct rate_limiter *l, uint64_t bytes, usec_t now);
void rate_limiter_give_back(struct rate_limiter *l, uint64_t bytes);
usec_t rate_limiter_due(struct rate_limiter *l, uint64_t bytes, usec_t now);
