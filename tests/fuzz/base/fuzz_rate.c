/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket of any size and speed, asked at any time: it never gives more than burst, size
 * and what the time has brought, and it is open exactly when it said that it would be.
 */
#include "../devices/script.h"
#include "../ensure.h"
#include "base/rate.h"

typedef unsigned __int128 u128;

enum { OPS = 64 };

/* Few bits most of the time, any of them now and then. */
static uint64_t number(struct script *s)
{
	uint64_t v = take(s, 8);

	return rarely(s) ? v : v >> (1 + v % 63);
}

/* What time has brought at most; a full bucket let some of it go. */
static u128 brought(const struct rate_bucket *b, usec_t since, usec_t now)
{
	return (u128)(now - since) * b->cfg.size / ((u128)b->cfg.refill_time_ms * USEC_PER_MSEC);
}

/* Now if it says now; else at that time and not a microsecond before. */
static void check_due(const struct rate_bucket *b, uint64_t n, usec_t now)
{
	struct rate_bucket at = *b, before = *b;
	usec_t due = rate_bucket_due(&at, n, now);

	ENSURE(due >= now);
	if (due == UINT64_MAX)
		return;
	ENSURE(rate_bucket_take(&at, n, due));
	if (due > now)
		ENSURE(!rate_bucket_take(&before, n, due - 1));
}

static void check_bounds(const struct rate_bucket *b)
{
	ENSURE(b->tokens <= b->cfg.size);
	ENSURE(b->burst <= b->cfg.one_time_burst);
	ENSURE(b->debt == 0 || b->tokens == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct rate_cfg cfg = { number(&s), number(&s), number(&s) };
	usec_t start = number(&s), now = start;
	bool limited = cfg.size > 0 && cfg.refill_time_ms > 0;
	struct rate_bucket b;
	u128 given = 0;

	rate_bucket_init(&b, &cfg, now);
	for (unsigned i = 0; i < OPS && s.left > 0; i++) {
		uint64_t n = number(&s), wait = number(&s);

		now = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
		check_due(&b, n, now);
		if (!rate_bucket_take(&b, n, now)) {
			ENSURE(limited);
			continue;
		}
		given += n;
		if (!limited)
			continue;
		check_bounds(&b);
		ENSURE(given <=
		       (u128)cfg.one_time_burst + cfg.size + b.debt + brought(&b, start, now));
		if (rarely(&s)) {
			rate_bucket_give_back(&b, n);
			given -= n;
			check_bounds(&b);
		}
	}
	return 0;
}
