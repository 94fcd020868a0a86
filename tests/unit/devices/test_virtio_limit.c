/* SPDX-License-Identifier: Apache-2.0 */
/* Rate limits of devices: who waits, who goes on, and what stops it. */
#include "devices/virtio/limit.h"
#include "devices/virtio/rng/rng.h"
#include "disk.h"

static const struct rate_cfg none = { 0 };
static const struct rate_cfg two_slowly = { .size = 2, .refill_time_ms = 3600 * 1000 };
static const struct rate_cfg two_fast = { .size = 2, .refill_time_ms = 20 };
static const struct rate_cfg kib_slowly = { .size = 1024, .refill_time_ms = 3600 * 1000 };

static void offer_flush(unsigned first)
{
	const struct piece p[] = { { HEADER, 16, 0 }, { STATUS, 1, WRITE } };

	header(FLUSH, 0);
	chain_of(p, 2, first);
}

static unsigned finished(void)
{
	uint32_t head, len;
	unsigned n = 0;

	while (used(&head, &len))
		n++;
	return n;
}

static uint64_t throttled(void)
{
	return counter_get(&blk_metrics(dev)->rate_limiter_throttled_events);
}

TEST(operations_beyond_the_limit_wait_in_the_ring)
{
	plug_disk((struct blk_cfg){ 0 });
	blk_set_limits(dev, NULL, &two_slowly);
	for (unsigned i = 0; i < 5; i++)
		offer_flush(2 * i);
	kick();
	CHECK_EQ(finished(), 2);
	CHECK_EQ(throttled(), 1);
	CHECK(vdev_idle(dev));
	kick(); /* asks nothing of the buckets */
	CHECK_EQ(finished(), 0);
	CHECK_EQ(throttled(), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->no_avail_buffer), 0);
	blk_set_limits(dev, &none, NULL); /* asks the other bucket again */
	settle();
	CHECK_EQ(finished(), 0);
	CHECK_EQ(throttled(), 2);
	blk_set_limits(dev, NULL, &none);
	settle();
	CHECK_EQ(get16(Q_USED + 2), 5);
	unplug_disk();
}

TEST(the_timer_goes_on_by_itself)
{
	plug_disk((struct blk_cfg){ 0 });
	blk_set_limits(dev, NULL, &two_fast);
	for (unsigned i = 0; i < 6; i++)
		offer_flush(2 * i);
	wr(R_NOTIFY, 0);
	while (get16(Q_USED + 2) < 6)
		CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK(counter_get(&blk_metrics(dev)->rate_limiter_event_count) >= 2);
	unplug_disk();
}

TEST(bytes_are_data_only)
{
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	blk_set_limits(dev, &kib_slowly, NULL);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), OK);
	CHECK_EQ(request(GET_ID, 0, 20, WRITE, 21), OK);
	CHECK_EQ(request(99, 0, SECTOR, WRITE, 0), UNSUPP);
	header(IN, 0);
	chain_of((const struct piece[]){ { HEADER, 16, 0 }, { DATA, SECTOR + 1, WRITE } }, 2, 0);
	kick();
	CHECK_EQ(finished(), 0);
	CHECK_EQ(throttled(), 1);
	unplug_disk(); /* with the timer running */
}

static uint64_t refilled(void)
{
	return counter_get(&blk_metrics(dev)->rate_limiter_event_count);
}

/* A device paused with requests that wait for tokens; false: too slow, they came before. */
static bool pause_while_one_waits(void)
{
	plug_disk((struct blk_cfg){ 0 });
	blk_set_limits(dev, NULL, &two_fast);
	for (unsigned i = 0; i < 4; i++)
		offer_flush(2 * i);
	kick();
	vdev_pause(dev);
	return throttled() > refilled();
}

TEST(a_waiting_request_is_no_obstacle_to_reset_and_pause)
{
	uint64_t before;

	while (!pause_while_one_waits())
		unplug_disk();
	CHECK(vdev_idle(dev));
	CHECK(finished() < 4);
	before = refilled();
	while (refilled() == before)
		CHECK_EQ(loop_turn(&loop, -1), 0);
	settle();
	CHECK_EQ(finished(), 0);
	vdev_resume(dev);
	settle();
	CHECK(finished() >= 1);
	blk_set_limits(dev, NULL, &two_slowly);
	kick();
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	run_device(0);
	blk_set_limits(dev, NULL, &none);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	unplug_disk();
}

TEST(entropy_is_limited_too)
{
	struct err e;

	CHECK_EQ(rng_create(&dev, &e), 0);
	plug(dev);
	run_device(0);
	rng_set_limits(dev, &kib_slowly, NULL);
	for (uint16_t i = 0; i < 3; i++) {
		desc(Q_DESC, i, BUF, 512, WRITE, 0);
		offer(i);
	}
	kick();
	CHECK_EQ(finished(), 2);
	CHECK_EQ(counter_get(&rng_metrics(dev)->entropy_rate_limiter_throttled), 1);
	CHECK_EQ(counter_get(&rng_metrics(dev)->entropy_bytes), 1024);
	rng_set_limits(dev, &none, &none);
	settle();
	CHECK_EQ(finished(), 1);
	unplug();
}

TEST(what_is_left_is_saved_and_never_grows)
{
	uint8_t first[64], second[64];
	struct state_out out = STATE_OUT_ON(first);
	struct vdev_limit l;
	struct state_in in;
	struct err e;
	counter_t c = { 0 };
	const struct rate_cfg cfg = { .size = 100,
				      .refill_time_ms = 3600 * 1000,
				      .one_time_burst = 7 };

	CHECK_EQ(rng_create(&dev, &e), 0);
	plug(dev);
	vdev_limit_init(&l, dev, 0, &c, &c);
	vdev_limit_set(&l, &cfg, &cfg);
	CHECK(vdev_limit_take(&l, 50)); /* 7 of the burst, 43 of the bucket */
	vdev_limit_save(&l, &out);
	CHECK_EQ(out.len, 48);
	CHECK_EQ(first[0], 57);
	CHECK_EQ(first[8], 0);
	CHECK_EQ(first[24], 100); /* the operation came from the burst */
	CHECK_EQ(first[32], 6);

	vdev_limit_set(&l, &cfg, &cfg);
	in = (struct state_in){ .buf = first, .len = out.len };
	vdev_limit_load(&l, &in);
	CHECK_EQ(state_in_end(&in), 0);
	out = STATE_OUT_ON(second);
	vdev_limit_save(&l, &out);
	CHECK_EQ(memcmp(first, second, out.len), 0);
	CHECK(!vdev_limit_take(&l, 58));
	CHECK(vdev_limit_take(&l, 57));

	memset(first, 0xff, sizeof(first));
	in = (struct state_in){ .buf = first, .len = out.len };
	vdev_limit_load(&l, &in);
	CHECK_EQ(l.buckets.ops.tokens, 100);
	CHECK_EQ(l.buckets.ops.burst, 7);
	vdev_limit_fini(&l);
	unplug();
}
