/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/rng/rng.h"
#include "driver.h"

static struct vdev *dev;

static void plug_rng(void)
{
	struct err e;

	CHECK_EQ(rng_create(&dev, &e), 0);
	plug(dev);
	run_device(0);
}

static uint64_t bytes(void)
{
	return counter_get(&rng_metrics(dev)->entropy_bytes);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* One writable buffer; what the device says it wrote. */
static uint32_t request(uint32_t len)
{
	uint32_t head, got = UINT32_MAX;

	memset(ram + BUF, 0, RAM - BUF);
	desc(Q_DESC, 0, BUF, len, WRITE, 0);
	offer(0);
	kick();
	CHECK(used(&head, &got));
	return got;
}

TEST(identity)
{
	plug_rng();
	CHECK_EQ(vdev_id(dev), 4);
	CHECK_EQ(vdev_queues(dev), 1);
	CHECK_EQ(strcmp(vdev_name(dev), "entropy"), 0);
	wr(R_DEVICE_FEATURES_SEL, 0);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 0);
	wr(R_DEVICE_FEATURES_SEL, 1);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 1);
	CHECK_EQ(rd(R_CONFIG), 0);
	unplug();
}

TEST(buffers_are_filled_up_to_64_kib)
{
	static const struct {
		uint32_t len, got;
	} rows[] = { { 1, 1 },	       { 64, 64 },	 { 65535, 65535 },
		     { 65536, 65536 }, { 65537, 65536 }, { RAM - BUF, 65536 } };

	plug_rng();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = bytes();

		CHECK_EQ(request(rows[i].len), rows[i].got);
		CHECK_EQ(bytes(), before + rows[i].got);
		CHECK(all_zero(ram + BUF + rows[i].got, RAM - BUF - rows[i].got));
	}
	CHECK_EQ(request(4096), 4096);
	for (unsigned i = 0; i < 4096; i += 32)
		CHECK(!all_zero(ram + BUF + i, 32));
	CHECK_EQ(counter_get(&rng_metrics(dev)->entropy_event_count), 7);
	unplug();
}

TEST(many_segments)
{
	uint32_t head, len;

	plug_rng();
	for (unsigned i = 0; i < Q_SIZE; i++)
		desc(Q_DESC, i, BUF + 0x2000 * i, 0x1200, i < Q_SIZE - 1 ? WRITE | NEXT : WRITE,
		     (uint16_t)(i + 1));
	offer(0);
	kick();
	CHECK(used(&head, &len));
	CHECK_EQ(len, 0x10000); /* of 0x12000 */
	CHECK(!all_zero(ram + BUF + 0x2000 * 14 + 0x3e0, 32));
	CHECK(all_zero(ram + BUF + 0x2000 * 14 + 0x400, 0x1000)); /* the 15th's first 0x400 */
	unplug();
}

TEST(more_requests_than_a_turn_takes)
{
	uint32_t head, len;
	unsigned done = 0;

	plug_rng();
	for (uint16_t i = 0; i < Q_SIZE; i++) {
		desc(Q_DESC, i, BUF + 0x100U * i, 32, WRITE, 0);
		offer(i);
	}
	wr(R_NOTIFY, 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	while (used(&head, &len))
		done++;
	CHECK_EQ(done, 8);
	settle();
	while (used(&head, &len))
		done++;
	CHECK_EQ(done, Q_SIZE);
	unplug();
}

TEST(a_buffer_that_is_not_writable_needs_a_reset)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} rows[] = { { 8, 0 }, { 0, WRITE }, { 0, 0 } };

	plug_rng();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		desc(Q_DESC, 0, BUF, rows[i].len, rows[i].flags, 0);
		offer(0);
		kick();
		CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
		CHECK_EQ(counter_get(&rng_metrics(dev)->entropy_event_fails), i + 1);
		wr(R_STATUS, 0);
		run_device(0);
		CHECK_EQ(request(16), 16);
	}
	unplug();
}

TEST(a_readable_part_needs_a_reset)
{
	plug_rng();
	desc(Q_DESC, 0, BUF, 8, NEXT, 1);
	desc(Q_DESC, 1, BUF + 8, 8, WRITE, 0);
	offer(0);
	kick();
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	unplug();
}

TEST(a_host_without_random_numbers)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_rng();
	fault_arm(0);
	CHECK_EQ(request(100), 0);
	CHECK(fault_fired());
	fault_arm(-1);
	CHECK_EQ(counter_get(&rng_metrics(dev)->host_rng_fails), 1);
	CHECK_EQ(request(100), 100);
	unplug();
}

TEST(a_request_in_progress_survives_save_and_load)
{
	uint8_t first[128], second[128];
	struct state_out out = STATE_OUT_ON(first);
	struct state_in in;
	uint32_t head, len;
	struct err e;

	plug_rng();
	CHECK_EQ(request(16), 16);
	vdev_pause(dev);
	desc(Q_DESC, 5, BUF, 24, WRITE, 0);
	offer(5);
	kick();
	CHECK(!used(&head, &len));
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	unplug();

	CHECK_EQ(rng_create(&dev, &e), 0);
	plug(dev);
	vdev_pause(dev);
	in = (struct state_in){ .buf = first, .len = out.len };
	CHECK_EQ(virtio_mmio_load(mmio, &in, &e), 0);
	out = STATE_OUT_ON(second);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	CHECK_EQ(out.len, in.len);
	CHECK_EQ(memcmp(first, second, out.len), 0);
	vdev_resume(dev);
	settle();
	CHECK(used(&head, &len));
	CHECK_EQ(head, 5);
	CHECK_EQ(len, 24);
	unplug();
}

TEST(creation_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	for (unsigned n = 0;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = rng_create(&dev, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK_EQ(n, 4);
			vdev_destroy(dev);
			return;
		}
		CHECK(strstr(e.msg, "entropy") != NULL);
	}
}
