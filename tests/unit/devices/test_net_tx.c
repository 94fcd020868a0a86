/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: order, framing, what no network carries, a back end that is full, batches. */
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

/* A device with a wire that takes some of the frames that a full queue offers, not all. */
static void plug_narrow(void)
{
	struct net_backend *b = wire_backend();
	int size = 8192;

	CHECK_EQ(setsockopt(b->src.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	plug_nic_on(b, NULL);
}

TEST(a_full_back_end_keeps_the_order)
{
	unsigned sent = 0, got = 0, broken = 0;
	uint64_t events;

	plug_narrow();
	run_nic(0);
	while (sent < 1000) {
		unsigned n = 0;

		for (uint16_t i = 0; i < Q_SIZE && sent < 1000; i++, sent++, n++)
			offer_frame(i, 26 + sent % 1000, (uint8_t)sent);
		kick_queue(NET_TX);
		while (n > 0) {
			unsigned gone = ring_take(&txq);

			broken += gone > 0 && gone < n;
			n -= gone;
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
	CHECK(broken > 0); /* in the middle of what was offered at once */
	CHECK_EQ(M(tx_fails), 0);
	unplug_nic();
}

TEST(a_frame_that_could_not_go_goes_before_newer_ones)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_nic(NULL);
	run_nic(0);
	/* Of a batch it is the call for all of it: then they go one by one. */
	for (long n = 0; n < (BY_RING ? 1 : 8); n++) {
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

static void send_all_to_nothing(struct net_backend *b, struct net_out *out, unsigned n)
{
	(void)b;
	for (unsigned i = 0; i < n; i++)
		out[i].r = i == 0 ? -EBADFD : -ECANCELED;
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
	wire_class.send_all = send_all_to_nothing;
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

/* --- several at once --------------------------------------------------------------- */

static const struct net_backend_class *real;
static unsigned singles, batches, largest;

static int count_send(struct net_backend *b, const struct iovec *iov, unsigned n, size_t len)
{
	singles++;
	return real->send(b, iov, n, len);
}

static void count_send_all(struct net_backend *b, struct net_out *out, unsigned n)
{
	batches++;
	largest = n > largest ? n : largest;
	real->send_all(b, out, n);
}

/* A device whose calls of the back end are counted. */
static struct net_backend *plug_counted(void)
{
	static struct net_backend_class of_tap;
	struct net_backend *b = wire_backend();

	of_tap = wire_class;
	real = &of_tap;
	wire_class.send = count_send;
	wire_class.send_all = count_send_all;
	plug_nic_on(b, NULL);
	run_nic(VIRTIO_F_INDIRECT_DESC);
	return b;
}

static void wire_has(uint32_t len, uint8_t seed)
{
	CHECK_EQ(to_wire(), len);
	CHECK(is_frame(packet + HDR, HDR, len - HDR, seed));
}

TEST(a_batch_is_one_call_and_so_is_one_frame)
{
	plug_counted();
	for (uint16_t i = 0; i < Q_SIZE; i++)
		offer_frame(i, 100, (uint8_t)i);
	kick_queue(NET_TX);
	CHECK_EQ(batches, BY_RING);
	CHECK_EQ(largest, BY_RING ? Q_SIZE : 0);
	CHECK_EQ(singles, BY_RING ? 0 : Q_SIZE);
	CHECK_EQ(M(tx_count), Q_SIZE);
	singles = 0;
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(singles, 1);
	CHECK_EQ(batches, BY_RING);
	unplug_nic();
}

TEST(frames_in_many_segments_are_several_batches)
{
	enum { PARTS = 100, FRAMES = 15, TABLES = 0x80000 };

	plug_counted();
	for (uint16_t f = 0; f < FRAMES; f++) {
		make_frame(ram + TX_BUF + 0x1000 * f, 10 * PARTS, (uint8_t)f);
		for (unsigned i = 0; i < PARTS; i++)
			desc(TABLES + 0x1000U * f, i, TX_BUF + 0x1000U * f + 10 * i, 10,
			     i < PARTS - 1 ? NEXT : 0, (uint16_t)(i + 1));
		desc(txq.desc, f, TABLES + 0x1000U * f, 16 * PARTS, INDIRECT, 0);
		ring_offer(&txq, f);
	}
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), FRAMES);
	CHECK_EQ(batches, BY_RING ? 2 : 0);
	for (unsigned f = 0; f < FRAMES; f++)
		wire_has(10 * PARTS, (uint8_t)f);
	CHECK_EQ(to_wire(), -1);
	unplug_nic();
}

TEST(one_that_is_lost_takes_none_of_the_others_with_it)
{
	enum { LOST = 5, TOO_LONG = 30000 };
	struct net_backend *b = plug_counted();
	int size = 8192; /* twice that counts, and no packet can be longer */

	CHECK_EQ(setsockopt(b->src.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	for (uint16_t i = 0; i < 10; i++)
		offer_frame(i, 100, (uint8_t)i);
	make_frame(ram + TX_BUF + 0x20000, TOO_LONG, 1);
	desc(txq.desc, LOST, TX_BUF + 0x20000, TOO_LONG, 0, 0);
	kick_queue(NET_TX);
	CHECK_EQ(batches, BY_RING);
	CHECK_EQ(ring_take(&txq), 10);
	CHECK_EQ(M(tx_fails), 1);
	CHECK_EQ(M(tap_write_fails), 1);
	CHECK_EQ(M(tx_count), 9);
	CHECK_EQ(M(tx_packets_count), 10);
	for (uint8_t i = 0; i < 10; i++)
		if (i != LOST)
			wire_has(100, i);
	CHECK_EQ(to_wire(), -1);
	unplug_nic();
}

TEST(a_ring_that_breaks_takes_only_the_frames_before_it)
{
	plug_nic(NULL);
	run_nic(0);
	for (uint16_t i = 0; i < 3; i++)
		offer_frame(i, 100, (uint8_t)i);
	desc(txq.desc, 3, RAM - 10, 100, 0, 0);
	ring_offer(&txq, 3);
	kick_queue(NET_TX);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(ring_take(&txq), 3);
	for (uint8_t i = 0; i < 3; i++)
		wire_has(100, i);
	CHECK_EQ(to_wire(), -1);
	CHECK(vdev_idle(nic));
	unplug_nic();
}

/* Offers a full queue of frames of 1000 bytes: how many had to stay. */
static unsigned fill_wire(void)
{
	unsigned sent;

	for (uint16_t i = 0; i < Q_SIZE; i++)
		offer_frame(i, 1000, (uint8_t)i);
	kick_queue(NET_TX);
	sent = ring_take(&txq);
	CHECK(sent > 0 && sent <= Q_SIZE - 2);
	return Q_SIZE - sent;
}

/* Reads what is there, and what comes when it is read: the frames, which are in order. */
static unsigned drain_wire(unsigned first)
{
	unsigned n = first;

	for (unsigned empty = 0; empty < 2; settle()) {
		empty++;
		for (; to_wire() >= 0; n++, empty = 0)
			CHECK(is_frame(packet + HDR, HDR, 1000 - HDR, (uint8_t)n));
	}
	return n - first;
}

TEST(a_pause_or_a_reset_finds_nothing_in_flight)
{
	unsigned left;

	plug_narrow();
	run_nic(0);
	left = fill_wire();
	vdev_pause(nic);
	CHECK(vdev_idle(nic));
	CHECK_EQ(drain_wire(0), Q_SIZE - left);
	CHECK_EQ(ring_take(&txq), 0);
	vdev_resume(nic);
	settle();
	CHECK_EQ(drain_wire(Q_SIZE - left), left);
	CHECK_EQ(ring_take(&txq), left);

	left = fill_wire();
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	CHECK_EQ(drain_wire(0), Q_SIZE - left); /* and what was left is forgotten */
	run_nic(0);
	offer_frame(0, 100, 9);
	offer_frame(1, 100, 10);
	kick_queue(NET_TX);
	wire_has(100, 9);
	wire_has(100, 10);
	CHECK_EQ(to_wire(), -1);
	unplug_nic();
}

TEST(tokens_of_what_stays_are_given_back)
{
	static const struct rate_cfg many = { .size = 1 << 30, .refill_time_ms = UINT64_MAX / 2 };
	const struct rate_limiter *limit;
	unsigned left;

	plug_narrow();
	limit = &container_of(nic, struct net, vdev)->tx.limit.buckets;
	run_nic(0);
	net_set_tx_limits(nic, &many, &many);
	left = fill_wire();
	CHECK_EQ(M(tx_count), Q_SIZE - left);
	CHECK_EQ(many.size - limit->ops.tokens, Q_SIZE - left);
	CHECK_EQ(many.size - limit->bandwidth.tokens, (1000 - HDR) * (Q_SIZE - left));
	CHECK_EQ(drain_wire(0), Q_SIZE);
	CHECK_EQ(many.size - limit->ops.tokens, Q_SIZE);
	CHECK_EQ(many.size - limit->bandwidth.tokens, (1000 - HDR) * Q_SIZE);
	unplug_nic();
}

TEST(a_batch_ends_where_the_tokens_do)
{
	static const struct rate_cfg five = { .size = 5, .refill_time_ms = UINT64_MAX / 2 };
	static const struct rate_cfg unlimited;

	plug_counted();
	net_set_tx_limits(nic, NULL, &five);
	for (uint16_t i = 0; i < 9; i++)
		offer_frame(i, 100, (uint8_t)i);
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), 5);
	CHECK_EQ(largest, BY_RING ? 5 : 0);
	CHECK_EQ(M(tx_rate_limiter_throttled), 1);
	net_set_tx_limits(nic, NULL, &unlimited);
	settle();
	CHECK_EQ(ring_take(&txq), 4);
	for (uint8_t i = 0; i < 9; i++)
		wire_has(100, i);
	unplug_nic();
}

static unsigned taken, on_wire_before;

static bool wants_marked(struct net_detour *d, const uint8_t *head, size_t len)
{
	(void)d;
	(void)len;
	return head[0] == 0xdd;
}

static void take_marked(struct net_detour *d, const uint8_t *frame, size_t len)
{
	(void)d;
	CHECK(len > 0 && frame[0] == 0xdd);
	taken++;
	on_wire_before = (unsigned)M(tx_count);
}

static size_t give_nothing(struct net_detour *d, uint8_t *frame, size_t cap)
{
	(void)d;
	(void)frame;
	(void)cap;
	return 0;
}

TEST(what_no_back_end_gets_waits_for_the_frames_before_it)
{
	static struct net_detour d = { wants_marked, take_marked, give_nothing };
	unsigned left;

	plug_narrow();
	net_set_detour(nic, &d);
	run_nic(0);
	for (uint16_t i = 0; i < 8; i++)
		offer_frame(i, 100, (uint8_t)i);
	ram[TX_BUF + 0x1000 * 3 + HDR] = 0xdd;
	desc(txq.desc, 5, TX_BUF, 1, 0, 0);
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), 8);
	CHECK_EQ(taken, 1);
	CHECK_EQ(on_wire_before, 3);
	CHECK_EQ(M(tx_malformed_frames), 1);
	CHECK_EQ(M(tx_count), 6);
	for (uint8_t i = 0; i < 8; i++)
		if (i != 3 && i != 5)
			wire_has(100, i);
	CHECK_EQ(to_wire(), -1);

	/* Where the back end has room for some of the frames before it. */
	for (uint16_t i = 0; i < Q_SIZE; i++)
		offer_frame(i, 1000, (uint8_t)i);
	ram[TX_BUF + 0x1000 * (Q_SIZE - 1) + HDR] = 0xdd;
	kick_queue(NET_TX);
	left = Q_SIZE - ring_take(&txq);
	CHECK(left > 2 && left < Q_SIZE);
	CHECK_EQ(taken, 1);
	CHECK_EQ(drain_wire(0), Q_SIZE - 1);
	CHECK_EQ(taken, 2);
	CHECK_EQ(on_wire_before, 6 + Q_SIZE - 1);
	CHECK_EQ(ring_take(&txq), left);
	unplug_nic();
}
