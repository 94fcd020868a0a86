/* SPDX-License-Identifier: Apache-2.0 */
/* The register window: every register, width, offset and status order. */
#include "fake.h"

static uint64_t ignored(void)
{
	return counter_get(&fake->vdev.ignored);
}

/* The write changes nothing and is counted. */
static void wr_ignored(uint64_t off, uint32_t v)
{
	uint64_t before = ignored();

	wr(off, v);
	CHECK_EQ(ignored(), before + 1);
}

static void wr_taken(uint64_t off, uint32_t v)
{
	uint64_t before = ignored();

	wr(off, v);
	CHECK_EQ(ignored(), before);
}

TEST(identity)
{
	plug_fake();
	CHECK_EQ(virtio_mmio_dev(mmio) == &fake->vdev, true);
	CHECK_EQ(vdev_id(&fake->vdev), FAKE_ID);
	CHECK_EQ(vdev_queues(&fake->vdev), 2);
	CHECK_EQ(strcmp(vdev_name(&fake->vdev), "fake `x'"), 0);
	CHECK_EQ(rd(0x00), 0x74726976);
	CHECK_EQ(rd(0x04), 2);
	CHECK_EQ(rd(0x08), FAKE_ID);
	CHECK_EQ(rd(0x0c), 0);
	for (unsigned off = 0xb0; off <= 0xbc; off += 4)
		CHECK_EQ(rd(off), UINT32_MAX);
	CHECK_EQ(ignored(), 0);
	unplug();
}

/* Which registers can be read at all. */
static bool readable(unsigned off)
{
	static const unsigned list[] = { 0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x44,
					 0x60, 0x70, 0xb0, 0xb4, 0xb8, 0xbc, 0xfc };

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		if (list[i] == off)
			return true;
	return off >= R_CONFIG;
}

/* Brings a fresh device to the n-th of six states. */
static void to_state(unsigned n)
{
	wr(R_STATUS, 0);
	memset(ram, 0, BUF);
	if (n >= 1)
		wr(R_STATUS, ACK);
	if (n >= 2)
		wr(R_STATUS, DRIVER);
	if (n >= 3) {
		features(VIRTIO_F_VERSION_1);
		wr(R_STATUS, FEATURES);
	}
	if (n >= 4) {
		queue_setup(0);
		wr(R_STATUS, RUN);
	}
	if (n >= 5)
		wr(R_STATUS, RUN | VDEV_FAILED);
}

TEST(every_width_at_every_offset_in_every_state)
{
	static const unsigned widths[] = { 1, 2, 4, 8 };
	struct bus_dev *b;

	plug_fake();
	b = virtio_mmio_bus(mmio);
	for (unsigned state = 0; state <= 5; state++) {
		to_state(state);
		for (unsigned off = 0; off < VIRTIO_MMIO_WINDOW; off++) {
			for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
				unsigned len = widths[w];
				uint8_t data[9], zero[8] = { 0 };
				uint64_t before = ignored();
				bool known = off >= R_CONFIG ||
					     (len == 4 && off % 4 == 0 && readable(off));

				if (off + len > VIRTIO_MMIO_WINDOW)
					continue;
				memset(data, 0x5a, sizeof(data));
				b->class->read(b, off, data, len);
				CHECK_EQ(data[len], 0x5a);
				CHECK_EQ(ignored(), before + !known);
				if (!known || off >= R_CONFIG + FAKE_CONFIG)
					CHECK_EQ(memcmp(data, zero, len), 0);
			}
		}
	}
	unplug();
}

TEST(odd_writes_change_nothing)
{
	static const unsigned widths[] = { 1, 2, 8 };
	struct bus_dev *b;
	uint64_t ones = UINT64_MAX;

	plug_fake();
	b = virtio_mmio_bus(mmio);
	for (unsigned state = 0; state <= 4; state++) {
		uint32_t status;

		to_state(state);
		status = rd(R_STATUS);
		for (unsigned off = 0; off < R_CONFIG; off++) {
			uint64_t before = ignored();

			for (unsigned w = 0; w < ARRAY_SIZE(widths); w++)
				b->class->write(b, off, &ones, widths[w]);
			if (off % 4 != 0)
				b->class->write(b, off, &ones, 4);
			CHECK_EQ(ignored(), before + 3 + (off % 4 != 0));
		}
		CHECK_EQ(rd(R_STATUS), status);
		CHECK_EQ(rd(R_QUEUE_READY), state == 4);
		CHECK_EQ(rd(R_QUEUE_MAX), 128);
	}
	unplug();
}

TEST(any_written_value_anywhere_is_survived)
{
	static const uint32_t values[] = { 0, 1, 2, 0x7fffffff, 0x80000000, UINT32_MAX };

	plug_fake();
	for (unsigned state = 0; state <= 5; state++) {
		for (unsigned off = 0; off < 0x120; off++) {
			for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
				to_state(state);
				wr(off, values[i]);
				settle();
			}
		}
	}
	to_state(4);
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug();
}

TEST(status_goes_one_way)
{
	static const uint8_t order[] = { 0, ACK, DRIVER, FEATURES, RUN };

	plug_fake();
	for (unsigned at = 0; at < ARRAY_SIZE(order); at++) {
		for (unsigned v = 1; v <= 0x1ff; v++) {
			uint32_t next = at + 1 < ARRAY_SIZE(order) ? order[at + 1] : 0;
			uint32_t plain = v & ~VDEV_NEEDS_RESET;
			bool legal = plain == order[at] || (next && plain == next);

			to_state(at);
			if (at == 2)
				features(VIRTIO_F_VERSION_1);
			if (v & VDEV_FAILED) {
				wr_taken(R_STATUS, v);
				CHECK_EQ(rd(R_STATUS), order[at] | VDEV_FAILED);
				continue;
			}
			if (legal)
				wr_taken(R_STATUS, v);
			else
				wr_ignored(R_STATUS, v);
			CHECK_EQ(rd(R_STATUS), legal ? plain : order[at]);
		}
	}
	unplug();
}

TEST(a_failed_device_only_resets)
{
	plug_fake();
	to_state(5);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_FAILED);
	wr_ignored(R_STATUS, RUN);
	wr_taken(R_STATUS, RUN | VDEV_FAILED);
	offer(0);
	desc(Q_DESC, 0, BUF, 8, WRITE, 0);
	kick();
	CHECK_EQ(fake->kicked[0], 0);
	wr_taken(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	CHECK_EQ(fake->reset, 1 + 1); /* to_state() begins with one */
	unplug();
}

TEST(features_are_masked_and_then_frozen)
{
	plug_fake();
	wr_ignored(R_DRIVER_FEATURES, 1); /* before DRIVER */
	wr(R_STATUS, ACK);
	wr_ignored(R_DRIVER_FEATURES, 1);
	wr(R_STATUS, DRIVER);
	for (unsigned sel = 0; sel < 4; sel++) {
		wr(R_DEVICE_FEATURES_SEL, sel);
		CHECK_EQ(rd(R_DEVICE_FEATURES),
			 sel < 2 ? (uint32_t)(FAKE_FEATURES >> 32 * sel) : 0);
	}
	wr(R_DEVICE_FEATURES_SEL, UINT32_MAX);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 0);
	wr(R_DRIVER_FEATURES_SEL, 2);
	wr_ignored(R_DRIVER_FEATURES, 1);
	wr(R_DRIVER_FEATURES_SEL, 0);
	wr_ignored(R_DRIVER_FEATURES, UINT32_MAX); /* counted, and what is offered is taken */
	CHECK_EQ(fake->vdev.acked, FAKE_FEATURES & UINT32_MAX);
	wr_taken(R_DRIVER_FEATURES, 4);
	CHECK_EQ(fake->vdev.acked, 4);
	wr(R_DRIVER_FEATURES_SEL, 2); /* there is no third word, nor is it the first again */
	wr_ignored(R_DRIVER_FEATURES, 0);
	wr_ignored(R_DRIVER_FEATURES, UINT32_MAX);
	CHECK_EQ(fake->vdev.acked, 4);
	wr(R_DRIVER_FEATURES_SEL, 0);
	wr_ignored(R_STATUS, FEATURES); /* without VERSION_1 */
	CHECK_EQ(rd(R_STATUS), DRIVER);
	wr(R_DRIVER_FEATURES_SEL, 1);
	wr_taken(R_DRIVER_FEATURES, 1);
	CHECK_EQ(fake->vdev.acked, VIRTIO_F_VERSION_1 | 4);
	wr_taken(R_STATUS, FEATURES);
	wr_ignored(R_DRIVER_FEATURES, 0);
	wr(R_STATUS, RUN);
	wr_ignored(R_DRIVER_FEATURES, 0);
	CHECK_EQ(fake->vdev.acked, VIRTIO_F_VERSION_1 | 4);
	wr(R_STATUS, 0);
	CHECK_EQ(fake->vdev.acked, 0);
	unplug();
}

TEST(queue_registers_between_features_ok_and_driver_ok)
{
	static const unsigned regs[] = { R_QUEUE_NUM, R_DESC, R_DESC + 4, R_AVAIL,
					 R_AVAIL + 4, R_USED, R_USED + 4 };

	plug_fake();
	for (unsigned state = 0; state <= 5; state++) {
		to_state(state);
		for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
			if (state == 3)
				wr_taken(regs[i], 16);
			else
				wr_ignored(regs[i], 0xffffffff);
		}
		if (state != 3)
			wr_ignored(R_QUEUE_READY, 0);
		CHECK_EQ(rd(R_QUEUE_READY), state >= 4);
	}
	to_state(3);
	queue_setup(0);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		wr_ignored(regs[i], 0); /* ready: frozen */
	wr_ignored(R_QUEUE_READY, 2);
	CHECK_EQ(rd(R_QUEUE_READY), 0);
	wr_taken(regs[0], Q_SIZE);
	wr_taken(R_QUEUE_READY, 1);
	CHECK_EQ(rd(R_QUEUE_READY), 1);
	unplug();
}

TEST(a_queue_that_does_not_exist)
{
	static const uint32_t bad[] = { 2, 8, 0x10000, 0x80000000, UINT32_MAX };

	plug_fake();
	to_state(3);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		wr_taken(R_QUEUE_SEL, bad[i]);
		CHECK_EQ(rd(R_QUEUE_MAX), 0);
		CHECK_EQ(rd(R_QUEUE_READY), 0);
		wr_ignored(R_QUEUE_NUM, 8);
		wr_ignored(R_DESC, 8);
		wr_ignored(R_QUEUE_READY, 1);
		wr_ignored(R_NOTIFY, bad[i]);
	}
	wr_taken(R_QUEUE_SEL, 1);
	CHECK_EQ(rd(R_QUEUE_MAX), 128);
	wr_taken(R_NOTIFY, 1);
	unplug();
}

TEST(rings_are_checked_when_the_driver_is_ok)
{
	static const struct {
		unsigned reg;
		uint32_t v;
		bool good;
	} rows[] = {
		{ R_QUEUE_NUM, 128, true },
		{ R_QUEUE_NUM, 256, false },
		{ R_QUEUE_NUM, 0, false },
		{ R_QUEUE_NUM, 3, false },
		{ R_QUEUE_NUM, 0x10010, false },
		{ R_DESC, 8, false },
		{ R_DESC, 16, true },
		{ R_AVAIL, 1, false },
		{ R_USED, 2, false },
		{ R_DESC + 4, 1, false },
		{ R_USED, RAM - 128, false },
		{ R_USED + 4, UINT32_MAX, false },
	};

	plug_fake();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = counter_get(&fake->activate_fails);

		to_state(3);
		queue_setup(0);
		wr(R_QUEUE_READY, 0);
		wr_taken(rows[i].reg, rows[i].v);
		wr(R_QUEUE_READY, 1);
		(void)fd_event_take(irq_fd);
		wr(R_STATUS, RUN);
		CHECK_EQ(rd(R_STATUS), rows[i].good ? RUN : RUN | VDEV_NEEDS_RESET);
		CHECK_EQ(rd(R_ISR), rows[i].good ? 0 : VDEV_ISR_CONFIG);
		CHECK_EQ(fd_event_take(irq_fd), !rows[i].good);
		CHECK_EQ(counter_get(&fake->activate_fails), before + !rows[i].good);
	}
	unplug();
}

TEST(a_device_that_cannot_be_activated)
{
	plug_fake();
	fake->cannot_activate = true;
	to_state(4);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(rd(R_ISR), VDEV_ISR_CONFIG);
	fake->cannot_activate = false;
	to_state(4);
	CHECK_EQ(rd(R_STATUS), RUN);
	CHECK_EQ(rd(R_ISR), 0);
	unplug();
}

TEST(configuration_space_is_bounded)
{
	static const unsigned widths[] = { 1, 2, 4, 8 };
	struct bus_dev *b;

	plug_fake();
	b = virtio_mmio_bus(mmio);
	for (unsigned off = 0; off < 24; off++) {
		for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
			uint8_t data[8];

			b->class->read(b, R_CONFIG + off, data, widths[w]);
			for (unsigned i = 0; i < widths[w]; i++)
				CHECK_EQ(data[i], off + i < FAKE_CONFIG ? 0xa0 + off + i : 0);
		}
	}
	unplug();
}

TEST(configuration_writes)
{
	struct bus_dev *b;
	uint64_t v = 0x1122334455667788;

	plug_fake();
	b = virtio_mmio_bus(mmio);
	wr(R_STATUS, ACK);
	wr_ignored(R_CONFIG + 8, 1); /* before DRIVER */
	CHECK_EQ(counter_get(&fake->cfg_fails), 1);
	wr(R_STATUS, DRIVER);
	wr_taken(R_CONFIG + 8, 0x01020304);
	CHECK_EQ(fake->config[8], 4);
	b->class->write(b, R_CONFIG + 11, &v, 1);
	CHECK_EQ(fake->config[11], 0x88);
	wr_ignored(R_CONFIG + 4, 1); /* the device refuses */
	wr_ignored(R_CONFIG + 9, 1); /* one byte too far */
	wr_ignored(R_CONFIG + 12, 1);
	b->class->write(b, R_CONFIG + 8, &v, 8);
	b->class->write(b, VIRTIO_MMIO_WINDOW - 8, &v, 8);
	CHECK_EQ(counter_get(&fake->cfg_fails), 6);
	CHECK_EQ(fake->config[8], 4);
	wr(R_STATUS, DRIVER | VDEV_FAILED);
	wr_ignored(R_CONFIG + 8, 1);
	unplug();
}

TEST(interrupt_status_and_acknowledge)
{
	plug_fake();
	to_state(4);
	vdev_lock(&fake->vdev);
	vdev_config_changed(&fake->vdev);
	vdev_unlock(&fake->vdev);
	CHECK(fd_event_take(irq_fd));
	CHECK_EQ(rd(R_ISR), VDEV_ISR_CONFIG);
	CHECK_EQ(rd(R_GENERATION), 1);
	wr_taken(R_ACK, VDEV_ISR_QUEUE);
	CHECK_EQ(rd(R_ISR), VDEV_ISR_CONFIG);
	wr_taken(R_ACK, UINT32_MAX);
	CHECK_EQ(rd(R_ISR), 0);
	wr(R_STATUS, 0);
	vdev_lock(&fake->vdev);
	vdev_config_changed(&fake->vdev); /* nobody to tell */
	vdev_unlock(&fake->vdev);
	CHECK_EQ(rd(R_ISR), 0);
	CHECK_EQ(rd(R_GENERATION), 2);
	CHECK(!fd_event_take(irq_fd));
	unplug();
}

TEST(notify_in_any_width_up_to_four)
{
	struct bus_dev *b;
	uint32_t queue = 0;

	plug_fake();
	b = virtio_mmio_bus(mmio);
	to_state(4);
	for (unsigned len = 1; len <= 4; len *= 2) {
		b->class->write(b, R_NOTIFY, &queue, len);
		settle();
	}
	CHECK_EQ(fake->kicked[0], 3);
	b->class->write(b, R_NOTIFY + 1, &queue, 1);
	b->class->write(b, R_NOTIFY, (uint8_t[8]){ 0 }, 8);
	settle();
	CHECK_EQ(fake->kicked[0], 3);
	unplug();
}

TEST(a_kick_before_driver_ok_is_drained)
{
	for (unsigned state = 0; state <= 3; state++) {
		plug_fake();
		to_state(state);
		wr(R_NOTIFY, 0);
		wr(R_NOTIFY, 1);
		settle();
		CHECK_EQ(counter_get(&fake->kicks), 2);
		CHECK_EQ(fake->kicked[0] + fake->kicked[1], 0);
		CHECK(!fd_event_take(vdev_kick_fd(&fake->vdev, 0)));
		unplug();
	}
}

TEST(reset_forgets_everything_and_the_device_works_again)
{
	uint32_t head, len;

	plug_fake();
	for (unsigned round = 0; round < 3; round++) {
		run_device(VIRTIO_F_EVENT_IDX);
		desc(Q_DESC, 3, BUF, 8, WRITE, 0);
		offer(3);
		kick();
		CHECK_EQ(fake->nheld, 1);
		fake_complete();
		CHECK(used(&head, &len));
		CHECK_EQ(head, 3);
		CHECK_EQ(rd(R_ISR), VDEV_ISR_QUEUE);
		wr(R_QUEUE_SEL, 1);
		wr(R_STATUS, 0);
		CHECK_EQ(rd(R_STATUS), 0);
		CHECK_EQ(rd(R_ISR), 0);
		CHECK_EQ(rd(R_QUEUE_READY), 0);
		CHECK_EQ(mmio->queue, 0);
		CHECK_EQ(fake->vdev.acked, 0);
		CHECK_EQ(fake->vdev.queue[0].cfg.size, 0);
		CHECK_EQ(fake->reset, round + 1);
	}
	unplug();
}

TEST(a_broken_ring_needs_a_reset_and_reset_revives)
{
	uint32_t head, len;

	plug_fake();
	run_device(0);
	offer(Q_SIZE); /* no such head */
	(void)fd_event_take(irq_fd);
	kick();
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(rd(R_ISR), VDEV_ISR_CONFIG);
	CHECK(fd_event_take(irq_fd));
	CHECK_EQ(counter_get(&fake->event_fails), 1);
	wr_taken(R_STATUS, RUN); /* does not clear it */
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	put16(Q_AVAIL + 2, 0);
	desc(Q_DESC, 0, BUF, 8, WRITE, 0);
	offer(0);
	kick();
	CHECK_EQ(fake->nheld, 0);
	CHECK_EQ(counter_get(&fake->event_fails), 1);

	wr(R_STATUS, 0);
	run_device(0);
	desc(Q_DESC, 0, BUF, 8, WRITE, 0);
	offer(0);
	kick();
	fake_complete();
	CHECK(used(&head, &len));
	unplug();
}

TEST(creation_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	for (unsigned n = 0;; n++) {
		struct vdev_counters none = { 0 };
		struct fake *f = calloc(1, sizeof(*f));
		struct virtio_mmio *m = NULL;
		struct loop l;
		struct err e = { 0 };
		int r;

		CHECK_EQ(loop_init(&l), 0);
		fault_arm(n);
		r = vdev_init(&f->vdev, &fake_class, &none, "fake", &e);
		if (r < 0) {
			free(f);
		} else {
			r = virtio_mmio_create(&f->vdev, &m, &e);
			if (r == 0)
				r = vdev_attach(&f->vdev, &l, &mem, (struct irq){ -1 }, &e);
			if (m)
				virtio_mmio_destroy(m);
			else
				vdev_destroy(&f->vdev);
		}
		CHECK_EQ(fault_fired(), r < 0);
		CHECK_EQ(r < 0, e.msg[0] != '\0');
		fault_arm(-1);
		loop_fini(&l);
		if (r == 0) {
			CHECK(n > 5);
			virtio_mmio_destroy(NULL);
			vdev_destroy(NULL);
			return;
		}
	}
}
