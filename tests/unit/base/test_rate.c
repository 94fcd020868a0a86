/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rate.h"

#include "test.h"

static struct rate_bucket bucket(uint64_t size, uint64_t refill_time_ms, uint64_t burst, usec_t now)
{
	struct rate_cfg cfg = {
		.size = size,
		.refill_time_ms = refill_time_ms,
		.one_time_burst = burst,
	};
	struct rate_bucket b;

	rate_bucket_init(&b, &cfg, now);
	return b;
}

TEST(zero_is_no_limit)
{
	struct rate_bucket none = bucket(0, 0, 0, 0);
	struct rate_bucket no_size = bucket(0, 100, 5, 0);
	struct rate_bucket no_time = bucket(100, 0, 5, 0);

	for (unsigned i = 0; i < 3; i++) {
		CHECK(rate_bucket_take(&none, UINT64_MAX, 0));
		CHECK(rate_bucket_take(&no_size, UINT64_MAX, 0));
		CHECK(rate_bucket_take(&no_time, UINT64_MAX, 0));
		CHECK_EQ(rate_bucket_due(&no_time, UINT64_MAX, 7), 7);
		rate_bucket_give_back(&none, UINT64_MAX);
	}
}

TEST(all_or_nothing)
{
	struct rate_bucket b = bucket(100, 1000, 0, 0);

	CHECK(rate_bucket_take(&b, 60, 0));
	CHECK(!rate_bucket_take(&b, 41, 0));
	CHECK(rate_bucket_take(&b, 40, 0));
	CHECK(!rate_bucket_take(&b, 1, 0));
	CHECK(rate_bucket_take(&b, 0, 0));
}

TEST(refill_is_even_and_exact)
{
	struct rate_bucket b = bucket(100, 1000, 0, 5000);

	CHECK(rate_bucket_take(&b, 100, 5000));
	CHECK(!rate_bucket_take(&b, 1, 5000 + 9999));
	CHECK(rate_bucket_take(&b, 1, 5000 + 10000));
	CHECK(!rate_bucket_take(&b, 1, 5000 + 19999));
	CHECK(rate_bucket_take(&b, 1, 5000 + 20000));
	CHECK(!rate_bucket_take(&b, 99, 5000 + 20000 + 989999));
	CHECK(rate_bucket_take(&b, 99, 5000 + 20000 + 990000));
}

/* Asking often must neither give more nor less than the refill: three in seven ms. */
TEST(no_drift_over_many_questions)
{
	struct rate_bucket b = bucket(3, 7, 0, 0);
	uint64_t taken = 0;

	CHECK(rate_bucket_take(&b, 3, 0));
	for (usec_t now = 1; now <= 7000000; now += 13)
		while (rate_bucket_take(&b, 1, now))
			taken++;
	CHECK_EQ(taken, 6999994u * 3 / 7000); /* 6999994: the last question */
}

TEST(a_full_bucket_saves_nothing)
{
	struct rate_bucket b = bucket(10, 10, 0, 0);

	CHECK(rate_bucket_take(&b, 10, 1000500)); /* half a token too late for the bucket */
	CHECK(!rate_bucket_take(&b, 1, 1001499));
	CHECK(rate_bucket_take(&b, 1, 1001500));
}

TEST(the_burst_comes_first_and_once)
{
	struct rate_bucket b = bucket(10, 1000, 25, 0);

	CHECK(rate_bucket_take(&b, 20, 0));
	CHECK_EQ(b.burst, 5);
	CHECK_EQ(b.tokens, 10);
	b = bucket(10, 1000, 25, 0);
	CHECK(rate_bucket_take(&b, 35, 0));
	CHECK_EQ(b.burst, 0);
	CHECK(!rate_bucket_take(&b, 1, 0));
	CHECK(rate_bucket_take(&b, 10, 1000000));
	CHECK(!rate_bucket_take(&b, 1, 1000000));
}

TEST(a_refused_request_keeps_the_burst)
{
	struct rate_bucket b = bucket(10, 1000, 5, 0);

	b.tokens = 2;
	CHECK(!rate_bucket_take(&b, 8, 0));
	CHECK_EQ(b.burst, 5);
	CHECK_EQ(b.tokens, 2);
	CHECK(rate_bucket_take(&b, 7, 0));
}

TEST(a_request_larger_than_the_bucket_leaves_a_debt)
{
	struct rate_bucket b = bucket(100, 1000, 0, 0);

	CHECK(rate_bucket_take(&b, 250, 0));
	CHECK_EQ(b.debt, 150);
	CHECK(!rate_bucket_take(&b, 250, 1499999));
	CHECK(!rate_bucket_take(&b, 1, 1499999));
	CHECK(!rate_bucket_take(&b, 1, 1509999));
	CHECK(rate_bucket_take(&b, 1, 1510000));
	CHECK(rate_bucket_take(&b, 101, 1510000)); /* nothing owed: passes, and owes */
	CHECK_EQ(b.debt, 101);
}

TEST(a_request_of_the_whole_size_waits_for_the_whole)
{
	struct rate_bucket b = bucket(100, 1000, 0, 0);

	CHECK(rate_bucket_take(&b, 1, 0));
	CHECK(!rate_bucket_take(&b, 100, 0));
	CHECK(rate_bucket_take(&b, 100, 10000));
}

TEST(given_back_tokens_pay_debt_then_bucket_then_burst)
{
	struct rate_bucket b = bucket(100, 1000, 50, 0);

	CHECK(rate_bucket_take(&b, 200, 0)); /* 50 burst, 100 bucket, 50 owed */
	CHECK_EQ(b.debt, 50);
	rate_bucket_give_back(&b, 30);
	CHECK_EQ(b.debt, 20);
	rate_bucket_give_back(&b, 30);
	CHECK_EQ(b.debt, 0);
	CHECK_EQ(b.tokens, 10);
	rate_bucket_give_back(&b, 100);
	CHECK_EQ(b.tokens, 100);
	CHECK_EQ(b.burst, 10);
	rate_bucket_give_back(&b, UINT64_MAX);
	CHECK_EQ(b.tokens, 100);
	CHECK_EQ(b.burst, 50);
}

/* due() must be the first moment at which take() passes. */
TEST(due_is_exact)
{
	static const uint64_t sizes[] = { 1, 3, 7, 100, 12345, 1000003 };
	static const uint64_t times[] = { 1, 3, 10, 100, 60000 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(times); k++) {
			struct rate_bucket b = bucket(sizes[i], times[k], 0, 1000);
			usec_t now = 1000 + times[k];
			uint64_t n = sizes[i] > 2 ? sizes[i] / 2 : 1;
			struct rate_bucket copy;
			usec_t due;

			CHECK_EQ(rate_bucket_due(&b, n, now), now);
			CHECK(rate_bucket_take(&b, sizes[i], now));
			now += 1; /* a fraction of a token has come */
			due = rate_bucket_due(&b, n, now);
			CHECK(due > now);
			copy = b;
			CHECK(!rate_bucket_take(&copy, n, due - 1));
			CHECK(rate_bucket_take(&b, n, due));

			CHECK(!rate_bucket_take(&b, sizes[i], due));
			due = rate_bucket_due(&b, sizes[i], now);
			copy = b;
			CHECK(!rate_bucket_take(&copy, sizes[i], due - 1));
			CHECK(rate_bucket_take(&b, sizes[i], due));
		}
	}
}

TEST(due_after_a_debt)
{
	struct rate_bucket b = bucket(100, 1000, 0, 0);

	CHECK(rate_bucket_take(&b, 300, 0));
	CHECK_EQ(rate_bucket_due(&b, 10, 0), 2100000);
	CHECK_EQ(rate_bucket_due(&b, 101, 0), 2000000); /* larger than the bucket: no debt */
	CHECK_EQ(rate_bucket_due(&b, 0, 5), 5);
}

TEST(any_u64_in_every_field)
{
	static const uint64_t odd[] = {
		1, 2, 1000, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX,
	};
	enum { N = ARRAY_SIZE(odd) };

	for (unsigned i = 0; i < N * N * N * N; i++) {
		uint64_t n = odd[i / N / N / N];
		usec_t later = odd[i / N / N % N];
		struct rate_bucket b = bucket(odd[i / N % N], odd[i % N], later, 0);
		usec_t due;

		CHECK(rate_bucket_take(&b, n, 0) || n > b.cfg.size);
		CHECK(b.tokens <= b.cfg.size);
		(void)!rate_bucket_take(&b, n, later);
		(void)!rate_bucket_take(&b, n, UINT64_MAX);
		CHECK(b.tokens <= b.cfg.size);
		rate_bucket_give_back(&b, n);
		CHECK(b.tokens <= b.cfg.size);
		CHECK(b.burst <= b.cfg.one_time_burst);
		due = rate_bucket_due(&b, n, later);
		CHECK(due >= later);
	}
}

TEST(slow_buckets_are_exact_at_the_limits)
{
	struct rate_bucket b = bucket(UINT64_MAX, UINT64_MAX, 0, 0);

	/* One token in a millisecond, whatever the size. */
	CHECK(rate_bucket_take(&b, UINT64_MAX, 0));
	CHECK(!rate_bucket_take(&b, 1, 999));
	CHECK(rate_bucket_take(&b, 1, 1000));
	CHECK_EQ(rate_bucket_due(&b, 5, 1000), 6000);
	CHECK_EQ(rate_bucket_due(&b, UINT64_MAX, 1000), UINT64_MAX);

	/* A token takes longer than the clock can say. */
	b = bucket(1, UINT64_MAX, 0, 0);
	CHECK(rate_bucket_take(&b, 1, 0));
	CHECK_EQ(rate_bucket_due(&b, 1, 0), UINT64_MAX);
	CHECK(!rate_bucket_take(&b, 1, UINT64_MAX));

	/* The longest time passes at once. */
	b = bucket(UINT64_MAX, UINT64_MAX, 0, 0);
	CHECK(rate_bucket_take(&b, UINT64_MAX, 0));
	CHECK(!rate_bucket_take(&b, UINT64_MAX / 1000 + 1, UINT64_MAX));
	CHECK(rate_bucket_take(&b, UINT64_MAX / 1000, UINT64_MAX));
}

TEST(a_clock_that_stands_still_or_goes_back)
{
	struct rate_bucket b = bucket(10, 10, 0, 1000000);

	CHECK(rate_bucket_take(&b, 10, 1000000));
	CHECK(!rate_bucket_take(&b, 1, 0));
	CHECK(!rate_bucket_take(&b, 1, 1000000));
	CHECK(rate_bucket_take(&b, 1, 1001000));
}

TEST(an_operation_takes_from_both_or_none)
{
	struct rate_limiter l = {
		.bandwidth = bucket(1000, 1000, 0, 0),
		.ops = bucket(2, 1000, 0, 0),
	};
	struct rate_limiter none = { 0 };

	CHECK(rate_limiter_take(&l, 600, 0));
	CHECK(!rate_limiter_take(&l, 600, 0)); /* no bytes: the operation is given back */
	CHECK_EQ(l.ops.tokens, 1);
	CHECK_EQ(rate_limiter_due(&l, 600, 0), 200000);
	CHECK(rate_limiter_take(&l, 400, 0));
	CHECK(!rate_limiter_take(&l, 0, 0)); /* no operations */
	CHECK_EQ(rate_limiter_due(&l, 0, 0), 500000);
	rate_limiter_give_back(&l, 400);
	CHECK(rate_limiter_take(&l, 400, 0));
	CHECK(rate_limiter_take(&none, UINT64_MAX, 0));
	CHECK_EQ(rate_limiter_due(&none, UINT64_MAX, 3), 3);
}
