/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle: pause, reset with work in flight, saved state, two threads. */
#include <pthread.h>
#include <sched.h>

#include "fake.h"

static void offer_buffer(uint16_t head)
{
	desc(Q_DESC, head, BUF + 0x100 * head, 8, WRITE, 0);
	offer(head);
}

TEST(a_paused_device_remembers_kicks)
{
	plug_fake();
	run_device(0);
	vdev_pause(&fake->vdev);
	vdev_pause(&fake->vdev);
	CHECK_EQ(fake->quiesced, 1);
	CHECK(vdev_idle(&fake->vdev));
	offer_buffer(0);
	kick();
	CHECK_EQ(fake->kicked[0], 0);
	vdev_resume(&fake->vdev);
	vdev_resume(&fake->vdev);
	CHECK_EQ(fake->resumed, 1);
	settle();
	CHECK_EQ(fake->kicked[0], 1);
	CHECK_EQ(fake->kicked[1], 0);
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(a_pause_is_idle_when_the_last_chain_is_back)
{
	uint32_t head, len;

	plug_fake();
	run_device(0);
	offer_buffer(0);
	kick();
	vdev_pause(&fake->vdev);
	CHECK(!vdev_idle(&fake->vdev));
	offer_buffer(1);
	fake_complete();
	CHECK(vdev_idle(&fake->vdev));
	CHECK(used(&head, &len));
	settle();
	CHECK_EQ(fake->nheld, 0); /* the second one waits */
	vdev_resume(&fake->vdev);
	settle();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(a_paused_device_pops_nothing_even_when_asked)
{
	struct iovec iov[4];
	struct virtq_chain c = { .iov = iov, .cap = ARRAY_SIZE(iov) };

	plug_fake();
	run_device(0);
	vdev_pause(&fake->vdev);
	offer_buffer(0);
	vdev_lock(&fake->vdev);
	CHECK_EQ(vdev_pop(&fake->vdev, 0, &c), 0);
	vdev_unlock(&fake->vdev);
	unplug();
}

TEST(a_device_fails_once)
{
	plug_fake();
	run_device(0);
	vdev_lock(&fake->vdev);
	vdev_fail(&fake->vdev, "first");
	vdev_unlock(&fake->vdev);
	wr(R_ACK, VDEV_ISR_CONFIG);
	vdev_lock(&fake->vdev);
	vdev_fail(&fake->vdev, "second");
	vdev_unlock(&fake->vdev);
	CHECK_EQ(rd(R_ISR), 0);
	CHECK_EQ(counter_get(&fake->event_fails), 1);
	unplug();
}

TEST(resume_raises_an_interrupt_that_nobody_took)
{
	plug_fake();
	run_device(0);
	offer_buffer(0);
	kick();
	fake_complete();
	CHECK(fd_event_take(irq_fd));
	vdev_pause(&fake->vdev);
	vdev_resume(&fake->vdev);
	CHECK(fd_event_take(irq_fd));
	wr(R_ACK, VDEV_ISR_QUEUE);
	vdev_pause(&fake->vdev);
	vdev_resume(&fake->vdev);
	CHECK(!fd_event_take(irq_fd));
	unplug();
}

/* --- polling ------------------------------------------------------------------ */

enum { AVAIL_EVENT = Q_USED + 4 + 8 * Q_SIZE, LONG = 600 * USEC_PER_SEC };

/* A device that has popped the first of the buffers and polls for the next. */
static void poll_after_one(void)
{
	plug_fake();
	run_device(VIRTIO_F_EVENT_IDX);
	loop_set_poll_max(&loop, LONG);
	loop.poll.time = LONG;
	offer_buffer(0);
	kick();
	CHECK_EQ(fake->kicked[0], 1);
	CHECK_EQ(fake->nheld, 1);
}

static uint16_t wants_kick_at(void)
{
	return get16(AVAIL_EVENT);
}

TEST(a_queue_that_is_polled_needs_no_kick)
{
	poll_after_one();
	CHECK_EQ(wants_kick_at(), 0);
	offer_buffer(1);
	CHECK_EQ(loop_turn(&loop, -1), 0);
	CHECK_EQ(fake->nheld, 2);
	CHECK_EQ(counter_get(&fake->kicks), 2);
	fake_complete();
	unplug();
}

TEST(a_kick_is_asked_for_before_the_loop_sleeps)
{
	poll_after_one();
	loop.poll.time = 1;
	CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(wants_kick_at(), 1);
	CHECK(!loop.watches);
	offer_buffer(1);
	kick();
	CHECK_EQ(fake->nheld, 2);
	fake_complete();
	unplug();
}

TEST(a_pause_ends_the_polling_and_asks_for_a_kick)
{
	poll_after_one();
	vdev_pause(&fake->vdev);
	CHECK_EQ(wants_kick_at(), 1);
	CHECK(!loop.watches);
	fake_complete();
	CHECK(vdev_idle(&fake->vdev));
	offer_buffer(1);
	settle();
	CHECK_EQ(fake->kicked[0], 1);
	vdev_resume(&fake->vdev);
	settle();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(what_came_just_before_a_pause_waits_for_the_resume)
{
	poll_after_one();
	offer_buffer(1);
	vdev_pause(&fake->vdev);
	fake_complete();
	settle();
	CHECK_EQ(fake->kicked[0], 1);
	vdev_resume(&fake->vdev);
	settle();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(a_reset_leaves_the_polling_nothing_to_do)
{
	poll_after_one();
	fake_complete();
	settle();
	wr(R_STATUS, 0);
	put16(Q_AVAIL + 2, 77);
	loop.poll.time = 1;
	CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(fake->kicked[0], 2); /* by its completion */
	run_device(VIRTIO_F_EVENT_IDX);
	offer_buffer(0);
	kick();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(a_device_may_go_while_it_is_polled)
{
	poll_after_one();
	fake_complete();
	settle();
	CHECK(loop.watches);
	unplug_device();
	CHECK(!loop.watches);
	loop_fini(&loop);
}

/* --- reset with work in flight ------------------------------------------------ */

static void *reset_it(void *arg)
{
	(void)arg;
	wr(R_STATUS, 0);
	return NULL;
}

/* Turns the loop until somebody waits for a reset. */
static void until_resetting(void)
{
	bool on = false;

	while (!on) {
		CHECK_EQ(loop_turn(&loop, 1), 0);
		vdev_lock(&fake->vdev);
		on = fake->vdev.resetting && fake->quiesced > 0;
		vdev_unlock(&fake->vdev);
	}
}

TEST(reset_waits_for_what_is_in_flight)
{
	pthread_t vcpu[2];
	uint32_t head, len;

	plug_fake();
	run_device(0);
	offer_buffer(0);
	offer_buffer(1);
	kick();
	CHECK_EQ(fake->nheld, 2);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&vcpu[i], NULL, reset_it, NULL), 0);
	until_resetting();
	CHECK_EQ(rd(R_STATUS), RUN); /* not before it is true */
	wr(R_STATUS, RUN | VDEV_FAILED);
	wr(R_QUEUE_SEL, 1);
	wr(R_CONFIG + 8, 0);
	CHECK_EQ(rd(R_STATUS), RUN);
	CHECK_EQ(mmio->queue, 0);
	CHECK_EQ(fake->config[8], 0xa8);
	offer_buffer(2);
	kick(); /* drained, nothing popped */
	CHECK_EQ(fake->nheld, 2);
	CHECK_EQ(fake->reset, 0);
	fake_complete();
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(vcpu[i], NULL), 0);
	CHECK(fake->reset >= 1);
	CHECK_EQ(rd(R_STATUS), 0);
	CHECK(used(&head, &len)); /* before the write returned */
	run_device(0);
	offer_buffer(0);
	kick();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	unplug();
}

TEST(reset_is_done_by_quiesce_when_that_is_enough)
{
	pthread_t vcpu;
	unsigned before = 0;

	plug_fake();
	fake->prompt = true;
	run_device(0);
	offer_buffer(0);
	kick();
	CHECK_EQ(pthread_create(&vcpu, NULL, reset_it, NULL), 0);
	while (before == 0) {
		CHECK_EQ(loop_turn(&loop, 10), 0);
		vdev_lock(&fake->vdev);
		before = fake->reset;
		vdev_unlock(&fake->vdev);
	}
	CHECK_EQ(pthread_join(vcpu, NULL), 0);
	CHECK_EQ(fake->nheld, 0);
	unplug();
}

/* --- a vCPU that hammers registers beside the loop ------------------------------ */

static unsigned rounds; /* resets */
static bool hammered;

/*
 * Guest memory is touched here only while the device is reset, so that under
 * ThreadSanitizer any access of the device after a reset returned is a report.
 */
static void *hammer(void *arg)
{
	(void)arg;
	for (unsigned round = 0; round < rounds; round++) {
		memset(ram, 0, BUF);
		for (uint16_t i = 0; i < 4; i++)
			offer_buffer(i);
		to_features_ok(round & 1 ? VIRTIO_F_EVENT_IDX : 0);
		queue_setup(0);
		wr(R_STATUS, RUN);
		for (uint16_t i = 0; i < 4; i++) {
			wr(R_NOTIFY, i & 1);
			wr(R_ACK, rd(R_ISR));
			(void)rd(R_GENERATION);
			(void)rd(R_CONFIG + 4);
			wr(R_CONFIG + 8, i);
		}
		for (unsigned i = 0; i < 2000 && vdev_idle(&fake->vdev); i++)
			sched_yield(); /* mostly until something is in flight */
		wr(R_STATUS, 0);
		CHECK_EQ(rd(R_STATUS), 0);
	}
	__atomic_store_n(&hammered, true, __ATOMIC_RELEASE);
	return NULL;
}

static unsigned rounds_of_this_tier(void)
{
	return test_soaks() ? 10000 : 100;
}

/* A second vCPU, which only ever resets: also while the first one's reset waits. */
static void *reset_beside(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&hammered, __ATOMIC_ACQUIRE)) {
		wr(R_STATUS, 0);
		for (unsigned i = 0; i < 50; i++)
			sched_yield();
	}
	return NULL;
}

/* What the loop may be asked for, in every order and at any moment of a reset. */
static void any_order(unsigned choice)
{
	switch (choice % 8) {
	case 0:
		vdev_pause(&fake->vdev);
		return;
	case 1:
		vdev_resume(&fake->vdev);
		return;
	case 2: /* a machine that stops: paused, and done as soon as it is idle */
		vdev_pause(&fake->vdev);
		for (unsigned i = 0; i < 20 && !vdev_idle(&fake->vdev); i++)
			fake_complete();
		vdev_resume(&fake->vdev);
		return;
	case 3:
		vdev_lock(&fake->vdev);
		vdev_config_changed(&fake->vdev);
		vdev_unlock(&fake->vdev);
		return;
	default:
		fake_complete();
	}
}

TEST(two_vcpus_reset_while_the_machine_pauses_and_stops)
{
	pthread_t busy, other;
	unsigned seed = 1;

	rounds = rounds_of_this_tier();
	plug_fake();
	CHECK_EQ(pthread_create(&busy, NULL, hammer, NULL), 0);
	CHECK_EQ(pthread_create(&other, NULL, reset_beside, NULL), 0);
	while (!__atomic_load_n(&hammered, __ATOMIC_ACQUIRE)) {
		seed = seed * 1103515245 + 12345;
		CHECK_EQ(loop_turn(&loop, 1), 0);
		any_order(seed >> 16);
	}
	vdev_resume(&fake->vdev);
	while (pthread_tryjoin_np(other, NULL) != 0) { /* it may wait for a reset yet */
		CHECK_EQ(loop_turn(&loop, 1), 0);
		fake_complete();
	}
	CHECK_EQ(pthread_join(busy, NULL), 0);
	CHECK(fake->vdev.resets >= rounds);
	CHECK_EQ(fake->nheld, 0);
	unplug();
}

TEST(resets_and_pauses_beside_a_busy_vcpu)
{
	pthread_t vcpu;
	unsigned turn = 0;

	rounds = rounds_of_this_tier();
	plug_fake();
	CHECK_EQ(pthread_create(&vcpu, NULL, hammer, NULL), 0);
	while (!__atomic_load_n(&hammered, __ATOMIC_ACQUIRE)) {
		CHECK_EQ(loop_turn(&loop, 1), 0);
		if (++turn % 3 == 0)
			fake_complete();
		if (turn % 7 == 0)
			vdev_pause(&fake->vdev);
		if (turn % 11 == 0) {
			vdev_lock(&fake->vdev);
			vdev_config_changed(&fake->vdev);
			vdev_unlock(&fake->vdev);
		}
		if (turn % 7 == 3)
			vdev_resume(&fake->vdev);
	}
	CHECK_EQ(pthread_join(vcpu, NULL), 0);
	CHECK_EQ(fake->vdev.resets, rounds);
	CHECK(fake->drained > 0); /* resets that had to wait */
	unplug();
}

/* --- saved state ------------------------------------------------------------------ */

static uint8_t first[512], second[512];

static size_t save(uint8_t *buf, size_t cap)
{
	struct state_out out = { .buf = buf, .cap = cap };

	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	return out.len;
}

static int load(const uint8_t *buf, size_t len)
{
	struct state_in in = { .buf = buf, .len = len };
	struct err e = { 0 };
	int r;

	vdev_pause(virtio_mmio_dev(mmio));
	r = virtio_mmio_load(mmio, &in, &e);
	CHECK_EQ(r < 0, e.msg[0] != '\0');
	return r;
}

/* Any state of the device survives a copy; `broken' with rings that cannot run. */
static void copies(uint8_t status)
{
	size_t len;

	vdev_pause(&fake->vdev);
	CHECK_EQ(rd(R_STATUS), status);
	wr(R_DEVICE_FEATURES_SEL, 1);
	len = save(first, sizeof(first));
	unplug();
	plug_fake();
	CHECK_EQ(load(first, len), 0);
	CHECK_EQ(rd(R_STATUS), status);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 1);
	CHECK_EQ(save(second, sizeof(second)), len);
	CHECK_EQ(memcmp(first, second, len), 0);
}

TEST(every_state_survives_save_and_load)
{
	uint32_t head, len;

	plug_fake();
	copies(0);
	wr(R_STATUS, ACK);
	copies(ACK);
	wr(R_STATUS, DRIVER);
	copies(DRIVER);
	features(FAKE_FEATURES);
	wr(R_STATUS, FEATURES);
	queue_setup(0);
	copies(FEATURES);
	memset(ram, 0, BUF);
	wr(R_STATUS, RUN);
	copies(RUN);
	seen_used = 0;
	for (unsigned i = 0; i < 5; i++) {
		vdev_resume(&fake->vdev);
		offer_buffer((uint16_t)i);
		kick();
		CHECK_EQ(fake->nheld, 1);
		fake_complete();
		CHECK(used(&head, &len));
		CHECK_EQ(head, i);
		copies(RUN);
	}
	vdev_pause(&fake->vdev);
	offer_buffer(7); /* not seen before the copy is taken */
	kick();
	copies(RUN);
	vdev_resume(&fake->vdev);
	settle();
	CHECK_EQ(fake->nheld, 1);
	fake_complete();
	offer(Q_SIZE);
	settle();
	copies(RUN | VDEV_NEEDS_RESET);
	wr(R_STATUS, RUN | VDEV_FAILED);
	copies(RUN | VDEV_NEEDS_RESET | VDEV_FAILED);
	unplug();
}

TEST(damaged_state_is_refused)
{
	size_t len;

	plug_fake();
	run_device(0);
	vdev_pause(&fake->vdev);
	len = save(first, sizeof(first));
	for (size_t cut = 0; cut < len; cut++) {
		unplug();
		plug_fake();
		CHECK_EQ(load(first, cut), -EINVAL);
	}
	unplug();
	plug_fake();
	CHECK_EQ(load(first, len + 1), -EINVAL);
	/* Any byte changed: refused or taken, and safe to run. */
	for (size_t at = 0; at < len; at++) {
		memcpy(second, first, len);
		second[at] ^= 0xff;
		unplug();
		plug_fake();
		if (load(second, len) == 0) {
			vdev_resume(&fake->vdev);
			settle();
			fake_complete();
		}
	}
	/* Bytes 12 on: status, isr, generation, acked. */
	memcpy(second, first, len);
	second[12] = VDEV_DRIVER_OK;
	unplug();
	plug_fake();
	CHECK_EQ(load(second, len), -EINVAL);
	memcpy(second, first, len);
	second[21] |= 2; /* a feature that is not offered */
	unplug();
	plug_fake();
	CHECK_EQ(load(second, len), -EINVAL);
	unplug();
}

TEST(a_short_buffer_for_state_is_an_error)
{
	struct state_out out = { .buf = first, .cap = 20 };

	plug_fake();
	vdev_pause(&fake->vdev);
	CHECK_EQ(virtio_mmio_save(mmio, &out), -ENOSPC);
	unplug();
}
