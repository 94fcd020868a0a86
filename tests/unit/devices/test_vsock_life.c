/* SPDX-License-Identifier: Apache-2.0 */
/* The socket device through reset, pause, save and load. */
#include "vsock_rig.h"

static struct pair p;
static uint8_t state[512];

static bool event_sent(uint32_t *ret_event)
{
	uint32_t head, len;

	if (!take_from(EVENTS, &head, &len))
		return false;
	CHECK_EQ(len, 4);
	memcpy(ret_event, ram + EVENT_AT + 16 * head, 4);
	return true;
}

/* --- reset -------------------------------------------------------------------------- */

TEST(a_reset_closes_everything)
{
	int waiting;

	plug_vsock();
	p = open_from_host(52);
	waiting = host_connect();
	settle();
	wr(R_STATUS, 0);
	expect_end(p.fd);
	expect_end(waiting);
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK(is_quiet());
	CHECK(!loop.timers);
	/* Without a driver, programs wait in the socket's queue. */
	waiting = host_connect();
	host_write(waiting, "CONNECT 5\n", 10);
	CHECK(is_quiet());
	drive(0);
	give_rx_all();
	CHECK_EQ(expect(VSOCK_OP_REQUEST).dst_port, 5);
	p = open_from_host(53);
	CHECK_EQ(p.host, (1U << 30) + 2); /* ports go on */
	unplug_vsock();
}

TEST(a_reset_and_a_new_driver_before_the_loop_turns)
{
	plug_vsock();
	p = open_from_host(52);
	wr(R_STATUS, 0);
	drive(0);
	give_rx_all();
	expect_end(p.fd);
	expect_silence(); /* the new driver knows nothing of the old connection */
	open_from_host(52);
	unplug_vsock();
}

TEST(event_idx_needs_no_kick_for_buffers_that_nobody_waits_for)
{
	make_folder();
	make_device();
	drive(UINT64_C(1) << 29);
	give_rx_all();
	p = open_from_host(52);
	for (unsigned i = 0; i < 100; i++) {
		host_write(p.fd, "x", 1);
		CHECK_EQ(expect(VSOCK_OP_RW).len, 1);
		send_data(p.guest, p.host, "y", 1);
		expect_text(p.fd, "y");
	}
	unplug_vsock();
}

/* --- pause -------------------------------------------------------------------------- */

TEST(a_pause_keeps_connections_and_writes_nothing)
{
	static uint8_t before[RAM];
	struct vsock_hdr hdr;
	int fd, half;

	plug_vsock();
	p = open_from_host(52);
	half = host_connect();
	host_write(half, "CONNECT 53\n", 11);
	hdr = expect(VSOCK_OP_REQUEST);
	vdev_pause(dev);
	CHECK(vdev_idle(dev));
	memcpy(before, ram, sizeof(before));
	host_write(p.fd, "meanwhile", 9);
	fd = host_connect();
	host_write(fd, "CONNECT 54\n", 11);
	settle();
	CHECK_EQ(memcmp(before, ram, sizeof(before)), 0);
	/* Time stands still for those who wait for the guest. */
	for (unsigned i = 0; i < 25; i++)
		CHECK_EQ(loop_turn(&loop, 100), 0);
	usleep(2500 * 1000);
	settle();
	CHECK_EQ(memcmp(before, ram, sizeof(before)), 0);
	CHECK(is_quiet());
	vdev_resume(dev);
	settle();
	CHECK_EQ(COUNT(conns_killed), 0);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 9);
	CHECK_EQ(expect(VSOCK_OP_REQUEST).dst_port, 54);
	send_op(VSOCK_OP_RESPONSE, 53, hdr.src_port);
	expect_text(half, "OK 1073741825\n");
	send_data(p.guest, p.host, "and on", 6);
	expect_text(p.fd, "and on");
	unplug_vsock();
}

TEST(packets_of_a_pause_are_looked_at_after_it)
{
	struct vsock_hdr hdr;
	uint32_t head, len;

	plug_vsock();
	p = open_from_host(52);
	vdev_pause(dev);
	hdr = packet(VSOCK_OP_RW, p.guest, p.host);
	hdr.len = 5;
	memcpy(ram + DATA_AT, "later", 5);
	queue_packet(&hdr);
	kick_queue(TX);
	CHECK(!take_from(TX, &head, &len));
	vdev_resume(dev);
	expect_text(p.fd, "later");
	CHECK(take_from(TX, &head, &len));
	unplug_vsock();
}

/* --- save and load --------------------------------------------------------------------- */

/* The machine ends and another begins with its memory; the device is paused. */
static void move(void)
{
	struct state_out out = STATE_OUT_ON(state);
	struct state_in in;
	struct err e;

	vdev_pause(dev);
	settle();
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	unplug();
	make_device();
	vdev_pause(dev);
	in = (struct state_in){ .buf = state, .len = out.len };
	CHECK_EQ(virtio_mmio_load(mmio, &in, &e), 0);
	CHECK_EQ(state_in_end(&in), 0);
}

TEST(load_of_save_saves_the_same)
{
	uint8_t again[sizeof(state)];
	struct state_out out = STATE_OUT_ON(again);

	plug_vsock();
	p = open_from_host(52);
	move();
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	CHECK_EQ(memcmp(state, again, out.len), 0);
	vdev_resume(dev);
	settle();
	unplug_vsock();
}

TEST(a_loaded_guest_is_told_first_and_spoken_to_when_it_has_heard)
{
	struct vsock_hdr hdr;
	uint32_t event = UINT32_MAX, head, len;
	int fd;

	plug_vsock();
	for (uint16_t i = 0; i < 8; i++)
		give_event(i);
	kick_queue(EVENTS);
	CHECK(!event_sent(&event));
	p = open_from_host(52);
	move();
	expect_end(p.fd);
	/* The guest was about to send on the old connection. */
	hdr = packet(VSOCK_OP_RW, p.guest, p.host);
	queue_packet(&hdr);
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	vdev_resume(dev);
	settle();
	CHECK(event_sent(&event));
	CHECK_EQ(event, 0);
	CHECK(take_from(TX, &head, &len));
	expect_silence();
	kick_queue(RX);
	kick_queue(TX);
	kick_queue(EVENTS); /* a kick alone is no answer */
	expect_silence();
	CHECK(is_quiet());
	give_event(0);
	kick_queue(EVENTS);
	expect(VSOCK_OP_RST);
	hdr = expect(VSOCK_OP_REQUEST);
	CHECK_EQ(hdr.src_port, (1U << 30) + 1); /* not the old connection's */
	send_op(VSOCK_OP_RESPONSE, 52, hdr.src_port);
	expect_text(fd, "OK 1073741825\n");
	CHECK(!event_sent(&event));
	CHECK(!loop.timers);
	unplug_vsock();
}

TEST(a_kick_asked_for_under_event_idx)
{
	unsigned avail_event = Q_USED + RING * EVENTS + 4 + 8 * Q_SIZE;
	uint32_t event;

	make_folder();
	make_device();
	drive(UINT64_C(1) << 29);
	give_rx_all();
	for (uint16_t i = 0; i < 8; i++)
		give_event(i);
	kick_queue(EVENTS);
	move();
	vdev_resume(dev);
	settle();
	CHECK(event_sent(&event));
	CHECK_EQ(get16(avail_event), 8); /* by the next entry, not by one that is there */
	unplug_vsock();
}

TEST(an_event_waits_for_its_buffer)
{
	uint32_t event;

	plug_vsock();
	move();
	vdev_resume(dev);
	settle();
	CHECK(!event_sent(&event));
	CHECK(is_quiet());
	give_event(3);
	kick_queue(EVENTS);
	CHECK(event_sent(&event));
	give_event(3);
	kick_queue(EVENTS);
	open_from_host(52);
	unplug_vsock();
}

TEST(a_guest_that_never_answers_is_not_deaf)
{
	uint32_t event;
	int fd;

	plug_vsock();
	give_event(0);
	kick_queue(EVENTS);
	move();
	vdev_resume(dev);
	settle();
	CHECK(event_sent(&event));
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	expect_silence();
	for (unsigned i = 0; i < 1000 && get16(Q_USED + 2) == taken[RX]; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	expect(VSOCK_OP_REQUEST);
	unplug_vsock();
}

TEST(a_bare_pause_sends_no_event)
{
	uint32_t event;

	plug_vsock();
	give_event(0);
	kick_queue(EVENTS);
	p = open_from_host(52);
	for (unsigned i = 0; i < 3; i++) {
		vdev_pause(dev);
		settle();
		vdev_resume(dev);
		settle();
	}
	CHECK(!event_sent(&event));
	host_write(p.fd, "x", 1);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 1);
	unplug_vsock();
}

TEST(a_driver_that_starts_after_the_load_gets_no_event)
{
	uint32_t event;

	make_folder();
	make_device();
	move();
	vdev_resume(dev);
	wr(R_STATUS, 0); /* as every driver does first */
	drive(0);
	give_rx_all();
	give_event(0);
	kick_queue(EVENTS);
	open_from_host(52);
	CHECK(!event_sent(&event));
	unplug_vsock();
}

/* It had no connection that could be gone; and it gives no buffer for an event. */
TEST(nor_does_one_that_was_saved_before_it_was_ready)
{
	make_folder();
	make_device();
	begin_to_drive(0);
	move();
	vdev_resume(dev);
	wr(R_STATUS, RUN);
	settle();
	give_rx_all();
	open_from_host(52);
	unplug_vsock();
}

TEST(event_buffers_that_are_none)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} rows[] = { { 3, WRITE }, { 4, 0 }, { 0, WRITE } };

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		move();
		desc(Q_DESC + RING * EVENTS, 0, EVENT_AT, rows[i].len, rows[i].flags, 0);
		offer_to(EVENTS, 0);
		vdev_resume(dev);
		settle();
		CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
		CHECK_EQ(COUNT(ev_queue_event_fails), 1);
		wr(R_STATUS, 0);
		drive(0);
	}
	unplug_vsock();
}

TEST(damaged_state_is_refused)
{
	static const uint32_t ports[] = { 0, (1U << 30) - 1, 1U << 31, UINT32_MAX };
	struct state_out out = STATE_OUT_ON(state);
	struct err e;

	plug_vsock();
	vdev_pause(dev);
	settle();
	CHECK_EQ(vdev_save(dev, &out), 0);
	for (unsigned i = 0; i <= ARRAY_SIZE(ports); i++) {
		struct state_in in = { .buf = state, .len = out.len };

		unplug();
		make_device();
		vdev_pause(dev);
		if (i < ARRAY_SIZE(ports))
			memcpy(state + out.len - 4, &ports[i], 4);
		else
			in.len -= 1;
		CHECK_EQ(vdev_load(dev, &in, &e), -EINVAL);
		CHECK(strstr(e.msg, "vsock") != NULL);
	}
	unplug_vsock();
}

/* --- two threads ------------------------------------------------------------------------- */

static bool stop; /* (A) */

/* A vCPU whose driver resets the device and starts it again, and again. */
static void *reset_again_and_again(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 200; i++) {
		wr(R_STATUS, 0);
		to_features_ok(0);
		wr(R_STATUS, RUN);
		usleep(100);
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(resets_beside_the_loop)
{
	static int fds[64];
	pthread_t vcpu;
	unsigned n = 0;

	make_folder();
	make_device();
	CHECK_EQ(pthread_create(&vcpu, NULL, reset_again_and_again, NULL), 0);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		int *fd = &fds[n++ % ARRAY_SIZE(fds)];

		if (*fd > 0)
			close(*fd);
		*fd = host_connect();
		host_write(*fd, "CONNECT 52\n", 11);
		for (unsigned i = 0; i < 5; i++)
			CHECK_EQ(loop_turn(&loop, 1), 0);
		if (n % 8 == 0) {
			vdev_pause(dev);
			CHECK_EQ(loop_turn(&loop, 0), 0);
			vdev_resume(dev);
		}
	}
	CHECK_EQ(pthread_join(vcpu, NULL), 0);
	wr(R_STATUS, 0);
	drive(0);
	give_rx_all();
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] > 0)
			close(fds[i]);
	settle();
	CHECK_EQ(COUNT(conns_added) - COUNT(conns_removed), 0);
	open_from_host(53);
	unplug_vsock();
}
