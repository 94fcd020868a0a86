/* SPDX-License-Identifier: Apache-2.0 */
#include "base/adaptive_poll.h"

#include "test.h"

TEST(short_sleeps_make_it_grow_to_the_maximum)
{
	static const usec_t times[] = { 4, 8, 16, 32, 50, 50 };
	struct adaptive_poll p = { .max = 50 };

	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		adaptive_poll_slept(&p, i % 2 ? 50 : 0);
		CHECK_EQ(p.time, times[i]);
	}
}

TEST(a_long_sleep_ends_it)
{
	struct adaptive_poll p = { .max = 50 };

	adaptive_poll_slept(&p, 51);
	CHECK_EQ(p.time, 0);
	adaptive_poll_slept(&p, 50);
	CHECK_EQ(p.time, 4);
	adaptive_poll_slept(&p, 51);
	CHECK_EQ(p.time, 0);
}

/* Sleeps until it polls at all, of an idle time that would be short enough. */
static unsigned sleeps_until_it_polls(struct adaptive_poll *p)
{
	unsigned n = 0;

	while (p->time == 0) {
		adaptive_poll_slept(p, 1);
		n++;
	}
	return n;
}

TEST(what_was_in_vain_is_tried_more_and_more_seldom)
{
	struct adaptive_poll p = { .max = 50 };
	unsigned n = 0, before;

	for (unsigned i = 0; i < 12; i++) {
		before = n;
		n = sleeps_until_it_polls(&p);
		CHECK(i < 2 || n > before);
		adaptive_poll_slept(&p, 51);
	}
	CHECK_EQ(sleeps_until_it_polls(&p), 2048);
	for (unsigned i = 0; i < 10; i++) {
		adaptive_poll_slept(&p, 51);
		CHECK_EQ(sleeps_until_it_polls(&p), 4096);
	}
}

TEST(a_hit_makes_it_willing_again)
{
	struct adaptive_poll p = { .max = 50 };

	for (unsigned i = 0; i < 20; i++) {
		(void)sleeps_until_it_polls(&p);
		adaptive_poll_slept(&p, 51);
	}
	(void)sleeps_until_it_polls(&p);
	adaptive_poll_hit(&p);
	adaptive_poll_slept(&p, 51);
	CHECK_EQ(sleeps_until_it_polls(&p), 1);
}

TEST(a_maximum_of_nothing_is_never)
{
	struct adaptive_poll p = { 0 };

	adaptive_poll_slept(&p, 0);
	CHECK_EQ(p.time, 0);
	adaptive_poll_slept(&p, 1);
	CHECK_EQ(p.time, 0);
}
