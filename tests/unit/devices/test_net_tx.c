/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: order, framing, what no network carries, a back end that is full. */
#include "nic.h"

TEST(frames_go_out_as_they_are)
{
	plug_nic(NULL);
	run_nic(0);
	for (uint16_t i = 0; i < Q_SIZE; i++)
		offer_frame(i, 26 + 97U * i, (uint8_t)i);
	ram[TX_BUF] = 1; /* the header is the back end's business */
	ram[TX_BUF + 9] = 0x99;
	kick_queue(NET_TX);
	for (unsigned i = 0; i < Q_SIZE; i++) {
		CHECK_EQ(to_wire(), 26 + 97 * i);
		CHECK(is_frame(packet + HDR, HDR, 26 + 97U * i - HDR, (uint8_t)i));
		CHECK_EQ(packet[9], i == 0 ? 0x99 : 0);
	}
	CHECK_EQ(to_wire(), -1);
	CHECK_EQ(ring_take(&txq), Q_SIZE);
	CHECK_EQ(M(tx_packets_count), Q_SIZE);
	CHECK_EQ(M(tx_bytes_count), Q_SIZE * (26 - HDR) + 97 * (15 * 16 / 2));
	CHECK_EQ(M(tx_fails), 0);
	unplug_nic();
}

TEST(a_frame_in_many_segments)
{
	plug_nic(NULL);
	run_nic(VIRTIO_F_INDIRECT_DESC);
	make_frame(ram + TX_BUF, 500, 7);
	for (unsigned i = 0; i < 100; i++)
		desc(TABLE, i, TX_BUF + 5 * i, 5, i < 99 ? NEXT : 0, (uint16_t)(i + 1));
	desc(txq.desc, 3, TABLE, 1600, INDIRECT, 0);
	ring_offer(&txq, 3);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 500);
	CHECK(is_frame(packet + HDR, HDR, 500 - HDR, 7));
	unplug_nic();
}

TEST(the_shortest_and_the_longest)
{
	static const struct {
		uint32_t len;
		bool goes;
	} rows[] = { { NET_FRAME_MIN, true }, { NET_FRAME_MIN - 1, false },
		     { NET_FRAME_MAX, true }, { NET_FRAME_MAX + 1, false },
		     { HDR, false },	      { 1, false } };
	uint64_t malformed = 0;

	plug_nic(NULL);
	run_nic(0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make_frame(ram + TX_BUF, rows[i].len, 1);
		desc(txq.desc, 0, TX_BUF, rows[i].len, 0, 0);
		ring_offer(&txq, 0);
		kick_queue(NET_TX);
		CHECK_EQ(to_wire(), rows[i].goes ? (ssize_t)rows[i].len : -1);
		CHECK_EQ(ring_take(&txq), 1);
		malformed += !rows[i].goes;
		CHECK_EQ(M(tx_malformed_frames), malformed);
	}
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug_nic();
}

TEST(a_part_that_is_to_be_written)
{
	plug_nic(NULL);
	run_nic(0);
	make_frame(ram + TX_BUF, 100, 1);
	desc(txq.desc, 0, TX_BUF, 100, NEXT, 1);
	desc(txq.desc, 1, TX_BUF + 0x1000, 100, WRITE, 0);
	ring_offer(&txq, 0);
	desc(txq.desc, 2, TX_BUF, 100, WRITE, 0);
	ring_offer(&txq, 2);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), -1);
	CHECK_EQ(ring_take(&txq), 2);
	CHECK_EQ(M(tx_malformed_frames), 2);
	unplug_nic();
}

TEST(memory_that_is_none)
{
	plug_nic(NULL);
	run_nic(0);
	desc(txq.desc, 0, RAM - 10, 100, 0, 0);
	ring_offer(&txq, 0);
	kick_queue(NET_TX);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(to_wire(), -1);
	run_nic(0);
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 100);
	unplug_nic();
}

TEST(a_full_back_end_keeps_the_order)
{
	unsigned sent = 0, got = 0;
	uint64_t events;

	plug_nic(NULL);
	run_nic(0);
	while (sent < 1000) {
		unsigned n = 0;

		for (uint16_t i = 0; i < Q_SIZE && sent < 1000; i++, sent++, n++)
			offer_frame(i, 26 + sent % 1000, (uint8_t)sent);
		kick_queue(NET_TX);
		while (n > 0) {
			n -= ring_take(&txq);
			/* What is full does not wake the loop. */
			events = M(tx_queue_event_count);
			settle();
			CHECK_EQ(M(tx_queue_event_count), events);
			if (n == 0)
				break;
			while (to_wire() >= 0) {
				CHECK(is_frame(packet + HDR, HDR, 26 + got % 1000 - HDR,
					       (uint8_t)got));
				got++;
			}
			settle();
		}
	}
	while (to_wire() >= 0) {
		CHECK(is_frame(packet + HDR, HDR, 26 + got % 1000 - HDR, (uint8_t)got));
		got++;
	}
	CHECK_EQ(got, 1000);
	CHECK_EQ(M(tx_fails), 0);
	unplug_nic();
}

TEST(a_frame_that_could_not_go_goes_before_newer_ones)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_nic(NULL);
	run_nic(0);
	for (long n = 0; n < 8; n++) {
		for (uint16_t i = 0; i < 8; i++)
			offer_frame(i, 100, (uint8_t)i);
		fault_arm(n);
		kick_queue(NET_TX); /* the n-th write says EAGAIN, then the socket is writable */
		CHECK(fault_fired());
		fault_arm(-1);
		CHECK_EQ(ring_take(&txq), 8);
		for (uint8_t i = 0; i < 8; i++) {
			CHECK_EQ(to_wire(), 100);
			CHECK(is_frame(packet + HDR, HDR, 100 - HDR, i));
		}
		CHECK_EQ(to_wire(), -1);
	}
	unplug_nic();
}

TEST(a_frame_that_is_lost_is_counted)
{
	plug_nic(NULL);
	run_nic(0);
	offer_frame(0, 100, 1);
	close(wire);
	wire = -1;
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), 1);
	CHECK_EQ(M(tx_fails), 1);
	CHECK_EQ(M(tap_write_fails), 1);
	CHECK_EQ(M(tx_count), 0);
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug_nic();
}

static int send_to_nothing(struct net_backend *b, const struct iovec *iov, unsigned n, size_t len)
{
	(void)b;
	(void)iov;
	(void)n;
	(void)len;
	return -EBADFD;
}

/* As the kernel tells of a tap that was deleted: EPOLLERR, and never EPOLLOUT. */
TEST(a_back_end_that_ends_while_it_is_full)
{
	struct net_backend *b = wire_backend();
	unsigned out = 0;

	plug_nic_on(b, NULL);
	run_nic(0);
	while (out == 0) {
		for (uint16_t i = 0; i < Q_SIZE; i++)
			offer_frame(i, 3000, (uint8_t)i);
		kick_queue(NET_TX);
		out = Q_SIZE - ring_take(&txq);
	}
	wire_class.send = send_to_nothing;
	net_on_ready(b, EPOLLERR);
	settle();
	CHECK_EQ(ring_take(&txq), out);
	CHECK_EQ(M(tx_fails), out);
	unplug_nic();
}

TEST(another_source_address_is_counted)
{
	static const struct net_cfg cfg = { .has_mac = true, .mac = { 6, 5, 4, 3, 2, 1 } };

	plug_nic(&cfg);
	run_nic(NET_F_MAC);
	for (uint16_t i = 0; i < 3; i++) {
		offer_frame(i, 100, 1);
		memcpy(ram + TX_BUF + 0x1000 * i + HDR + 6, cfg.mac, 6);
	}
	ram[TX_BUF + 0x1000 + HDR + 11] ^= 1;
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_spoofed_mac_count), 1);
	CHECK_EQ(M(tx_packets_count), 3); /* it goes all the same */
	unplug_nic();
}

TEST(a_turn_is_bounded)
{
	plug_nic(NULL);
	wr(R_STATUS, 0);
	to_features_ok(0);
	memset(ram, 0, BUF);
	wr(R_QUEUE_SEL, NET_TX);
	wr(R_QUEUE_NUM, 256);
	wr(R_DESC, 0);
	wr(R_AVAIL, 0x1000);
	wr(R_USED, 0x2000);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
	settle();
	for (unsigned i = 0; i < 200; i++) {
		make_frame(ram + TX_BUF + 0x40 * i, 40, (uint8_t)i);
		desc(0, i, TX_BUF + 0x40 * i, 40, 0, 0);
		put16(0x1004 + 2 * i, (uint16_t)i);
	}
	put16(0x1002, 200);
	wr(R_NOTIFY, NET_TX);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(get16(0x2002), VDEV_BUDGET);
	CHECK_EQ(M(tx_remaining_reqs_count), 200 - VDEV_BUDGET);
	settle();
	CHECK_EQ(get16(0x2002), 200);
	for (unsigned i = 0; i < 200; i++) {
		CHECK_EQ(to_wire(), 40);
		CHECK(is_frame(packet + HDR, HDR, 40 - HDR, (uint8_t)i));
	}
	unplug_nic();
}
