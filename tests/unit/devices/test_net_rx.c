/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving: buffers of any size and number, kept frames, wake-ups, hostile buffers. */
#include "nic.h"

#define MERGE NET_F_MRG_RXBUF

TEST(a_frame_and_its_header)
{
	uint32_t head, len;

	plug_nic(NULL);
	run_nic(0);
	give_buffer(2, 2048);
	kick_queue(NET_RX);
	make_frame(packet, 100, 1);
	packet[0] = 1; /* a header that the back end made */
	packet[6] = 0x22;
	CHECK_EQ(write(wire, packet, 100), 100);
	settle();
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(head, 2);
	CHECK_EQ(len, 100);
	CHECK_EQ(buffer(2)[0], 1);
	CHECK_EQ(buffer(2)[6], 0x22);
	CHECK_EQ(buffer(2)[10], 1); /* num_buffers: virtio 1.2, 5.1.6.4.1, in any case */
	CHECK_EQ(buffer(2)[11], 0);
	CHECK(is_frame(buffer(2) + HDR, HDR, 100 - HDR, 1));
	CHECK_EQ(buffer(2)[100], 0);
	CHECK_EQ(M(rx_bytes_count), 100 - HDR);
	CHECK_EQ(M(rx_packets_count), 1);
	CHECK_EQ(M(rx_count), 1);
	unplug_nic();
}

TEST(a_chain_of_segments)
{
	uint32_t head, len;

	plug_nic(NULL);
	run_nic(0);
	/* The header in two segments, the frame in two more. */
	desc(rxq.desc, 0, RX_BUF, 10, WRITE | NEXT, 1);
	desc(rxq.desc, 1, RX_BUF + 0x1000, 2, WRITE | NEXT, 2);
	desc(rxq.desc, 2, RX_BUF + 0x2000, 30, WRITE | NEXT, 3);
	desc(rxq.desc, 3, RX_BUF + 0x3000, 1500, WRITE, 0);
	ring_offer(&rxq, 0);
	kick_queue(NET_RX);
	from_wire(200, 5);
	settle();
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(len, 200);
	CHECK_EQ(buffer(1)[0], 1);
	CHECK(is_frame(buffer(2), HDR, 30, 5));
	CHECK(is_frame(buffer(3), HDR + 30, 200 - HDR - 30, 5));
	unplug_nic();
}

/* Reads a frame out of merged buffers of `size' bytes; whether it is right. */
static bool merged(size_t len, uint32_t size, uint8_t seed)
{
	uint32_t head, part;
	size_t at = 0;
	unsigned n = 0, want = (unsigned)((len + size - 1) / size);

	while (at < len) {
		size_t skip = at == 0 ? HDR : 0;

		if (!ring_used(&rxq, &head, &part))
			return false;
		if (at == 0 && buffer(head)[10] != want)
			return false;
		if (part != (len - at < size ? len - at : size) ||
		    !is_frame(buffer(head) + skip, at + skip, part - skip, seed))
			return false;
		at += part;
		n++;
	}
	return n == want;
}

TEST(a_frame_in_several_buffers)
{
	static const size_t lens[] = { 300,  299,  301,	 1000, 26,   3000, 3000,
				       4800, 1526, 1527, 100,  4799, 4500 };

	plug_nic(NULL);
	run_nic(MERGE);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		for (uint16_t b = 0; b < Q_SIZE; b++)
			give_buffer(b, 300);
		kick_queue(NET_RX);
		from_wire(lens[i], (uint8_t)i);
		settle();
		CHECK(merged(lens[i], 300, (uint8_t)i));
		CHECK_EQ(ring_take(&rxq), 0);
		/* The rest of the buffers is still the device's. */
		run_nic(MERGE);
	}
	CHECK_EQ(M(rx_fails), 0);
	unplug_nic();
}

TEST(frames_of_all_sizes_in_one_run)
{
	static const size_t lens[] = { 60, 1526, 26, 2000, 2100, 500, 3000 };
	uint64_t events;

	plug_nic(NULL);
	run_nic(MERGE);
	for (uint16_t b = 0; b < Q_SIZE; b++)
		give_buffer(b, 600);
	kick_queue(NET_RX);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++)
		from_wire(lens[i], (uint8_t)i);
	events = M(rx_tap_event_count);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(M(rx_tap_event_count), events + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(lens) - 2; i++)
		CHECK(merged(lens[i], 600, (uint8_t)i));
	unplug_nic();
}

TEST(buffers_of_the_largest_frame)
{
	uint32_t head, len;

	plug_nic(NULL);
	run_nic(MERGE);
	/* One chain that takes all, and one byte more than a frame may have. */
	desc(rxq.desc, 0, RX_BUF, 0x20000, WRITE, 0);
	ring_offer(&rxq, 0);
	kick_queue(NET_RX);
	from_wire(NET_FRAME_MAX, 1);
	settle();
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(len, NET_FRAME_MAX);
	CHECK(is_frame(buffer(0) + HDR, HDR, NET_FRAME_MAX - HDR, 1));
	ring_offer(&rxq, 0);
	kick_queue(NET_RX);
	from_wire(NET_FRAME_MAX + 1, 1);
	settle();
	CHECK(!ring_used(&rxq, &head, &len));
	CHECK_EQ(M(rx_fails), 1);
	from_wire(NET_FRAME_MIN, 1);
	settle();
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(len, NET_FRAME_MIN);
	ring_offer(&rxq, 0);
	kick_queue(NET_RX);
	from_wire(NET_FRAME_MIN - 1, 1);
	settle();
	CHECK(!ring_used(&rxq, &head, &len));
	CHECK_EQ(M(rx_fails), 2);
	unplug_nic();
}

TEST(a_frame_too_large_for_its_buffer)
{
	plug_nic(NULL);
	run_nic(0);
	for (uint16_t b = 0; b < Q_SIZE; b++)
		give_buffer(b, 1526);
	kick_queue(NET_RX);
	from_wire(1527, 1);
	from_wire(1526, 2);
	settle();
	CHECK_EQ(M(rx_fails), 1);
	CHECK_EQ(ring_take(&rxq), 1);
	CHECK(is_frame(buffer(0) + HDR, HDR, 1526 - HDR, 2));
	unplug_nic();
}

/* --- wake-ups ------------------------------------------------------------------------ */

TEST(a_ring_without_buffers_sleeps_and_wakes)
{
	uint64_t events, kicks;

	plug_nic(NULL);
	run_nic(MERGE | VIRTIO_F_EVENT_IDX);
	for (unsigned round = 0; round < 50; round++) {
		for (uint8_t i = 0; i < 20; i++)
			from_wire(100, i);
		settle();
		events = M(rx_tap_event_count);
		kicks = M(rx_queue_event_count);
		settle(); /* a thousand turns */
		CHECK_EQ(M(rx_tap_event_count), events);
		CHECK_EQ(M(rx_queue_event_count), kicks);
		/* The driver is told to kick for the very next buffer (avail_event). */
		CHECK_EQ(get16(rxq.used + 4 + 8 * Q_SIZE), get16(rxq.avail + 2));
		for (uint16_t i = 0; i < Q_SIZE; i++)
			give_buffer(i, 2048);
		kick_queue(NET_RX);
		CHECK_EQ(ring_take(&rxq), Q_SIZE);
		for (uint16_t i = 0; i < 4; i++)
			give_buffer(i, 2048);
		kick_queue(NET_RX);
		CHECK_EQ(ring_take(&rxq), 4);
		CHECK(is_frame(buffer(3) + HDR, HDR, 100 - HDR, 19));
	}
	CHECK_EQ(M(rx_packets_count), 50 * 20);
	CHECK_EQ(M(rx_fails), 0);
	unplug_nic();
}

TEST(a_frame_waits_for_more_buffers)
{
	uint64_t kicks;

	plug_nic(NULL);
	run_nic(MERGE | VIRTIO_F_EVENT_IDX);
	for (uint16_t i = 0; i < 4; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	from_wire(4000, 1);
	from_wire(100, 2); /* must not pass it */
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(ring_take(&rxq), 0);
	/* No loop about what is not enough, and a kick is asked for behind it. */
	kicks = M(rx_queue_event_count);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(M(rx_queue_event_count), kicks);
	CHECK_EQ(get16(rxq.used + 4 + 8 * Q_SIZE), 4);
	for (uint16_t i = 4; i < 10; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	CHECK(merged(4000, 500, 1));
	CHECK(merged(100, 500, 2));
	CHECK_EQ(M(rx_fails), 0);
	unplug_nic();
}

/* Polling must not take the buffers that went back for new ones, again and again. */
TEST(a_frame_that_waits_lets_a_polling_loop_sleep)
{
	uint64_t kicks;

	plug_nic(NULL);
	run_nic(MERGE | VIRTIO_F_EVENT_IDX);
	loop_set_poll_max(&loop, 64);
	loop.poll.time = 64;
	for (uint16_t i = 0; i < 4; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	from_wire(4000, 1);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(get16(rxq.used + 4 + 8 * Q_SIZE), 4);
	kicks = M(rx_queue_event_count);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK_EQ(M(rx_queue_event_count), kicks);
	for (uint16_t i = 4; i < 10; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	CHECK(merged(4000, 500, 1));
	CHECK_EQ(M(rx_fails), 0);
	unplug_nic();
}

TEST(a_frame_does_not_wait_for_ever)
{
	plug_nic(NULL);
	run_nic(MERGE);
	for (uint16_t i = 0; i < 4; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	from_wire(4000, 1);
	from_wire(100, 2);
	WAIT_FOR(M(rx_fails) == 1);
	settle();
	CHECK(merged(100, 500, 2));
	/* What came into buffers while it waited is no part of the next frame. */
	from_wire(1400, 3);
	settle();
	CHECK(merged(1400, 500, 3));
	unplug_nic();
}

TEST(a_frame_that_waited_for_tokens_does_not_wait_for_ever)
{
	const struct rate_cfg ops = { .size = 1, .refill_time_ms = 50 };

	plug_nic(NULL);
	net_set_rx_limits(nic, NULL, &ops);
	run_nic(MERGE);
	for (uint16_t i = 0; i < 5; i++)
		give_buffer(i, 500);
	kick_queue(NET_RX);
	from_wire(100, 1); /* takes the token */
	from_wire(4000, 2);
	from_wire(100, 3);
	settle();
	CHECK(merged(100, 500, 1));
	WAIT_FOR(M(rx_fails) == 1);
	settle();
	WAIT_FOR(M(rx_packets_count) == 2);
	CHECK(merged(100, 500, 3));
	unplug_nic();
}

TEST(a_frame_that_no_ring_of_this_size_can_hold)
{
	plug_nic(NULL);
	run_nic(MERGE);
	for (uint16_t i = 0; i < Q_SIZE; i++)
		give_buffer(i, 100);
	kick_queue(NET_RX);
	from_wire(1601, 1);
	from_wire(1600, 2);
	CHECK_EQ(loop_turn(&loop, 0), 0); /* at once */
	CHECK_EQ(M(rx_fails), 1);
	CHECK(merged(1600, 100, 2));
	unplug_nic();
}

TEST(a_turn_is_bounded)
{
	plug_nic(NULL);
	run_nic(MERGE);
	for (unsigned i = 0; i < 7; i++) {
		for (uint16_t b = 0; b < Q_SIZE; b++)
			give_buffer(b, 200);
		for (uint8_t b = 0; b < Q_SIZE; b++)
			from_wire(60, b);
		kick_queue(NET_RX);
		CHECK_EQ(ring_take(&rxq), Q_SIZE);
	}
	unplug_nic();
	/* More than VDEV_BUDGET at once need a ring that holds them. */
	plug_nic(NULL);
	run_nic(0);
	wr(R_STATUS, 0);
	to_features_ok(0);
	memset(ram, 0, BUF);
	wr(R_QUEUE_SEL, NET_RX);
	wr(R_QUEUE_NUM, 256);
	wr(R_DESC, 0);
	wr(R_AVAIL, 0x1000);
	wr(R_USED, 0x2000);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
	settle();
	for (unsigned i = 0; i < 200; i++) {
		desc(0, i, RX_BUF + 0x100 * i, 0x100, WRITE, 0);
		put16(0x1004 + 2 * i, (uint16_t)i);
		from_wire(60, (uint8_t)i);
	}
	put16(0x1002, 200);
	wr(R_NOTIFY, NET_RX);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(get16(0x2002) <= VDEV_BUDGET);
	settle();
	CHECK_EQ(get16(0x2002), 200);
	for (unsigned i = 0; i < 200; i++)
		CHECK(is_frame(ram + RX_BUF + 0x100 * i + HDR, HDR, 60 - HDR, (uint8_t)i));
	unplug_nic();
}

TEST(a_back_end_that_fails_is_tried_again)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_nic(NULL);
	run_nic(MERGE);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	from_wire(100, 1);
	fault_arm(0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(fault_fired());
	fault_arm(-1);
	CHECK_EQ(M(tap_read_fails), 1);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(M(rx_packets_count), 0);
	WAIT_FOR(M(rx_packets_count) == 1);
	CHECK_EQ(ring_take(&rxq), 1);
	unplug_nic();
}

/* --- hostile drivers ------------------------------------------------------------------- */

static void bad_buffer(uint64_t addr, uint32_t len, uint16_t flags)
{
	uint64_t fails = M(event_fails);

	/* Behind two good ones, so that some are held when it is met. */
	give_buffer(0, 100);
	give_buffer(1, 100);
	desc(rxq.desc, 2, addr, len, flags, 2);
	ring_offer(&rxq, 2);
	kick_queue(NET_RX);
	from_wire(1000, 1);
	settle();
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(M(event_fails), fails + 1);
	CHECK_EQ(ring_take(&rxq), 0);
	CHECK(vdev_idle(nic)); /* what was held has been given back */
	run_nic(MERGE);
	for (uint16_t i = 0; i < 12; i++)
		give_buffer(i, 100);
	kick_queue(NET_RX);
	from_wire(1000, 2);
	settle();
	CHECK(merged(1000, 100, 2));
	run_nic(MERGE);
}

/*
 * QEMU read into what was no memory, then leaked what it had mapped on the way
 * (CVE-2021-3748, CVE-2022-26353).
 */
TEST(buffers_that_are_no_memory)
{
	unsigned rounds = test_soaks() ? 250000 : 300;

	plug_nic(NULL);
	run_nic(MERGE);
	for (unsigned i = 0; i < rounds; i++) {
		bad_buffer(RAM, 100, WRITE);
		bad_buffer(RAM - 50, 100, WRITE);
		bad_buffer(UINT64_MAX - 50, 100, WRITE);
		bad_buffer(UINT64_C(0xc0001000), 100, WRITE); /* a device's registers */
	}
	unplug_nic();
}

TEST(buffers_that_cannot_take_a_header)
{
	plug_nic(NULL);
	run_nic(MERGE);
	bad_buffer(RX_BUF, HDR - 1, WRITE);
	bad_buffer(RX_BUF, 0, WRITE);
	bad_buffer(RX_BUF, 100, 0);
	bad_buffer(RX_BUF, 100, WRITE | NEXT); /* of itself */
	unplug_nic();
}

/* The header has one size, whatever was negotiated (CVE-2023-6693 had another). */
TEST(a_buffer_of_a_header_alone)
{
	uint32_t head, len;

	plug_nic(NULL);
	run_nic(MERGE);
	for (uint16_t i = 0; i < 6; i++)
		give_buffer(i, HDR);
	kick_queue(NET_RX);
	from_wire(5 * HDR, 1);
	settle();
	for (unsigned i = 0; i < 5; i++) {
		CHECK(ring_used(&rxq, &head, &len));
		CHECK_EQ(len, HDR);
	}
	CHECK_EQ(buffer(0)[10], 5);
	CHECK(is_frame(buffer(1), HDR, HDR, 1));
	CHECK_EQ(buffer(0)[HDR], 0);
	unplug_nic();
}
