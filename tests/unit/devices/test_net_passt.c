/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames as a back end: partial reads and writes, bad lengths, the link. */
#include <sys/un.h>

#include "devices/virtio/net/passt.h"
#include "nic.h"

#define STATUS NET_F_STATUS

static int listener = -1;
static char path[100];

static void listen_again(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/wisp-test-passt.%d", getpid());
	memcpy(addr.sun_path, path, strlen(path));
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK_EQ(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(listener, 1), 0);
}

static bool accepted(void)
{
	wire = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	return wire >= 0;
}

static void plug_passt(void)
{
	struct net_backend *b = NULL;
	struct err e;
	int fd = -1;

	listen_again();
	CHECK_EQ(net_passt_open(path, &fd, &e), 0);
	CHECK(accepted());
	CHECK_EQ(net_passt_create(fd, path, &b, &e), 0);
	plug_nic_on(b, NULL);
}

static void unplug_passt(void)
{
	unplug_nic();
	if (listener >= 0)
		close(listener);
	unlink(path);
}

/* A frame of `len' bytes with the virtio header's, as it goes over the stream. */
static size_t stream_frame(uint8_t *at, size_t len, uint8_t seed)
{
	size_t n = len - HDR;

	make_frame(packet, len, seed);
	at[0] = (uint8_t)(n >> 24);
	at[1] = (uint8_t)(n >> 16);
	at[2] = (uint8_t)(n >> 8);
	at[3] = (uint8_t)n;
	memcpy(at + 4, packet + HDR, n);
	return 4 + n;
}

static void stream(size_t len, uint8_t seed)
{
	static uint8_t bytes[NET_FRAME_MAX];
	size_t n = stream_frame(bytes, len, seed);

	CHECK_EQ(write(wire, bytes, n), (ssize_t)n);
}

static bool link_is_up(void)
{
	return rd(R_CONFIG + 4) >> 16 & 1;
}

TEST(what_it_offers)
{
	plug_passt();
	wr(R_DEVICE_FEATURES_SEL, 0);
	CHECK_EQ(rd(R_DEVICE_FEATURES),
		 NET_F_MRG_RXBUF | STATUS | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
	CHECK(link_is_up());
	unplug_passt();
}

TEST(frames_both_ways)
{
	uint32_t head, len;

	plug_passt();
	run_nic(STATUS);
	give_buffer(0, 2048);
	memset(buffer(0), 0xee, 2048);
	kick_queue(NET_RX);
	stream(100, 1);
	settle();
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(len, 100);
	for (unsigned i = 0; i < HDR; i++) /* nothing of the buffer's past is in the header */
		CHECK_EQ(buffer(0)[i], i == 10);
	CHECK(is_frame(buffer(0) + HDR, HDR, 100 - HDR, 1));

	offer_frame(0, 300, 2);
	ram[TX_BUF] = 0xff; /* the header stays here */
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 300 - HDR + 4);
	CHECK_EQ(packet[0], 0);
	CHECK_EQ(packet[2], (300 - HDR) >> 8);
	CHECK_EQ(packet[3], (300 - HDR) & 255);
	CHECK(is_frame(packet + 4, HDR, 300 - HDR, 2));
	unplug_passt();
}

TEST(a_stream_cut_anywhere)
{
	uint8_t bytes[400];
	size_t n = stream_frame(bytes, 60, 1);

	n += stream_frame(bytes + n, 200, 2);
	n += stream_frame(bytes + n, NET_FRAME_MIN, 3);
	plug_passt();
	run_nic(STATUS);
	for (size_t cut = 0; cut <= n; cut++) {
		for (uint16_t i = 0; i < 3; i++)
			give_buffer(i, 2048);
		kick_queue(NET_RX);
		CHECK_EQ(write(wire, bytes, cut), (ssize_t)cut);
		settle();
		CHECK_EQ(write(wire, bytes + cut, n - cut), (ssize_t)(n - cut));
		settle();
		CHECK_EQ(ring_take(&rxq), 3);
		CHECK(is_frame(buffer(0) + HDR, HDR, 60 - HDR, 1));
		CHECK(is_frame(buffer(1) + HDR, HDR, 200 - HDR, 2));
		CHECK(is_frame(buffer(2) + HDR, HDR, NET_ETH, 3));
	}
	/* Byte by byte. */
	for (uint16_t i = 0; i < 3; i++)
		give_buffer(i, 2048);
	kick_queue(NET_RX);
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(write(wire, bytes + i, 1), 1);
		CHECK_EQ(loop_turn(&loop, 0), 0);
	}
	CHECK_EQ(ring_take(&rxq), 3);
	CHECK_EQ(M(tap_read_fails), 0);
	unplug_passt();
}

TEST(many_frames_in_one_read)
{
	plug_passt();
	run_nic(STATUS | NET_F_MRG_RXBUF);
	for (unsigned round = 0; round < 20; round++) {
		for (uint16_t i = 0; i < Q_SIZE; i++)
			give_buffer(i, 2048);
		kick_queue(NET_RX);
		for (uint8_t i = 0; i < Q_SIZE + 3; i++)
			stream(1000, i);
		settle(); /* three wait in our buffer, and no descriptor tells of them */
		CHECK_EQ(ring_take(&rxq), Q_SIZE);
		for (uint16_t i = 0; i < 3; i++)
			give_buffer(i, 2048);
		kick_queue(NET_RX);
		CHECK_EQ(ring_take(&rxq), 3);
		CHECK(is_frame(buffer(2) + HDR, HDR, 1000 - HDR, Q_SIZE + 2));
	}
	unplug_passt();
}

TEST(a_length_that_no_frame_has)
{
	static const uint32_t lens[] = { 0, NET_ETH - 1, PASST_FRAME_MAX + 1, UINT32_MAX,
					 UINT32_C(1) << 31 };

	plug_passt();
	run_nic(STATUS);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		uint8_t prefix[4] = { (uint8_t)(lens[i] >> 24), (uint8_t)(lens[i] >> 16),
				      (uint8_t)(lens[i] >> 8), (uint8_t)lens[i] };

		CHECK_EQ(write(wire, prefix, 4), 4);
		settle();
		CHECK_EQ(read(wire, packet, 1), 0); /* closed */
		CHECK(!link_is_up());
		close(wire);
		WAIT_FOR(accepted());
		settle();
		CHECK(link_is_up());
		stream(100, (uint8_t)i);
		settle();
		CHECK_EQ(ring_take(&rxq), 1);
		give_buffer(0, 2048);
		kick_queue(NET_RX);
	}
	unplug_passt();
}

TEST(the_longest_frame)
{
	plug_passt();
	run_nic(STATUS | NET_F_MRG_RXBUF);
	desc(rxq.desc, 0, RX_BUF, 0x20000, WRITE, 0);
	ring_offer(&rxq, 0);
	kick_queue(NET_RX);
	stream(HDR + PASST_FRAME_MAX, 1);
	settle();
	CHECK_EQ(ring_take(&rxq), 1);
	CHECK(is_frame(buffer(0) + HDR, HDR, PASST_FRAME_MAX, 1));
	/* One byte more can be asked of the device, and is no frame of this stream. */
	make_frame(ram + TX_BUF, NET_FRAME_MAX, 2);
	desc(txq.desc, 0, TX_BUF, HDR + PASST_FRAME_MAX + 1, 0, 0);
	ring_offer(&txq, 0);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), -1);
	CHECK_EQ(M(tx_fails), 1);
	unplug_passt();
}

/* Reads all that is there, at most `max' bytes at a time, and checks that it is frames. */
static unsigned drain(size_t *at, size_t max)
{
	static uint8_t bytes[4 * (NET_FRAME_MAX + 4)];
	static size_t have;
	unsigned n = 0;
	ssize_t got;

	if (*at == 0)
		have = 0;
	while ((got = read(wire, bytes + have, max)) > 0) {
		have += (size_t)got;
		*at += (size_t)got;
		for (;;) {
			size_t len = have < 4 ? 0
					      : (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 |
							bytes[3];

			if (have < 4 || have < 4 + len)
				break;
			CHECK_EQ(len, 60000 - HDR);
			CHECK(is_frame(bytes + 4, HDR, len, bytes[4] - (uint8_t)(HDR * 7)));
			memmove(bytes, bytes + 4 + len, have - 4 - len);
			have -= 4 + len;
			n++;
		}
	}
	return n;
}

TEST(what_the_socket_does_not_take_is_sent_first)
{
	unsigned offered = 0, got = 0, done = 0;
	size_t at = 0;

	plug_passt();
	run_nic(STATUS);
	for (unsigned turns = 0; got < 200 && turns < 100000; turns++) {
		if (offered < 200 && offered - done < 4) {
			uint32_t to = TX_BUF + 0x10000 * (offered % 4);

			make_frame(ram + to, 60000, (uint8_t)offered);
			desc(txq.desc, offered % 4, to, 60000, 0, 0);
			ring_offer(&txq, (uint16_t)(offered++ % 4));
			wr(R_NOTIFY, NET_TX);
		}
		CHECK_EQ(loop_turn(&loop, 0), 0);
		done += ring_take(&txq);
		if (turns % 3 == 0)
			got += drain(&at, 1000 + turns % 5000);
	}
	CHECK_EQ(got, 200);
	CHECK_EQ(at, 200 * (60000 - HDR + 4));
	CHECK_EQ(M(tx_fails), 0);
	unplug_passt();
}

TEST(the_rest_of_a_frame_needs_no_kick)
{
	unsigned got = 0;
	size_t at = 0;

	plug_passt();
	run_nic(STATUS);
	for (uint16_t i = 0; i < 4; i++) {
		make_frame(ram + TX_BUF + 0x10000U * i, 60000, (uint8_t)i);
		desc(txq.desc, i, TX_BUF + 0x10000U * i, 60000, 0, 0);
		ring_offer(&txq, i);
	}
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_count), 3 + (M(tx_count) > 3)); /* so that there is a rest */
	for (unsigned i = 0; i < 100 && got < 4; i++) {
		got += drain(&at, 10000);
		settle();
	}
	CHECK_EQ(got, 4);
	CHECK_EQ(ring_take(&txq), 4);
	unplug_passt();
}

TEST(the_other_side_ends_and_comes_back)
{
	uint32_t generation;

	plug_passt();
	run_nic(STATUS);
	generation = rd(R_GENERATION);
	close(wire);
	close(listener);
	settle();
	CHECK(!link_is_up());
	CHECK(rd(R_GENERATION) != generation);
	CHECK_EQ(rd(R_ISR) & VDEV_ISR_CONFIG, VDEV_ISR_CONFIG);
	wr(R_ACK, VDEV_ISR_CONFIG);
	/* What is sent now is lost, and nothing is stuck. */
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), 1);
	CHECK_EQ(M(tx_fails), 1);
	for (unsigned i = 0; i < 25; i++)
		CHECK_EQ(loop_turn(&loop, 10), 0);
	CHECK(!link_is_up());
	listen_again();
	WAIT_FOR(accepted());
	settle();
	CHECK(link_is_up());
	CHECK_EQ(rd(R_ISR) & VDEV_ISR_CONFIG, VDEV_ISR_CONFIG);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	stream(100, 3);
	offer_frame(1, 100, 4);
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&rxq), 1);
	CHECK_EQ(to_wire(), 100 - HDR + 4);
	unplug_passt();
}

/* As passt does to a second client. */
TEST(whoever_ends_at_once_is_asked_less_and_less_often)
{
	usec_t end;
	unsigned n = 0;

	plug_passt();
	run_nic(STATUS);
	close(wire);
	end = clock_monotonic() + 2 * USEC_PER_SEC;
	while (clock_monotonic() < end) {
		CHECK_EQ(loop_turn(&loop, 10), 0);
		if (accepted()) {
			close(wire);
			n++;
		}
	}
	/* After 100, 300, 700, 1500 ms. */
	CHECK(n >= 2 && n <= 5);
	unplug_passt();
}

TEST(a_connection_that_ends_while_paused)
{
	uint64_t before;

	plug_passt();
	run_nic(STATUS);
	vdev_pause(nic);
	close(wire);
	settle();
	CHECK(!link_is_up());
	before = M(rx_queue_event_count);
	settle();
	CHECK_EQ(M(rx_queue_event_count), before);
	WAIT_FOR(accepted());
	vdev_resume(nic);
	settle();
	CHECK(link_is_up());
	offer_frame(1, 100, 4);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 100 - HDR + 4);
	unplug_passt();
}

TEST(a_driver_that_is_loaded_learns_that_its_link_is_back)
{
	uint8_t saved[512];
	struct state_out out = STATE_OUT_ON(saved);
	struct state_in in;
	struct err e;

	plug_passt();
	run_nic(STATUS);
	close(wire);
	close(listener);
	listener = -1;
	settle();
	CHECK(!link_is_up());
	wr(R_ACK, VDEV_ISR_CONFIG);
	vdev_pause(nic);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	unplug_passt();

	plug_passt();
	vdev_pause(nic);
	in = (struct state_in){ .buf = saved, .len = out.len };
	CHECK_EQ(virtio_mmio_load(mmio, &in, &e), 0);
	CHECK(link_is_up());
	CHECK_EQ(rd(R_ISR), 0);
	vdev_resume(nic);
	CHECK_EQ(rd(R_ISR) & VDEV_ISR_CONFIG, VDEV_ISR_CONFIG);
	unplug_passt();
}

TEST(a_half_frame_is_not_for_the_next_connection)
{
	uint8_t bytes[200];

	plug_passt();
	run_nic(STATUS);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	(void)stream_frame(bytes, 100, 1);
	CHECK_EQ(write(wire, bytes, 50), 50);
	settle();
	close(wire);
	WAIT_FOR(accepted());
	settle();
	stream(100, 2);
	settle();
	CHECK_EQ(ring_take(&rxq), 1);
	CHECK(is_frame(buffer(0) + HDR, HDR, 100 - HDR, 2));
	unplug_passt();
}

TEST(errors_of_the_socket)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_passt();
	run_nic(STATUS);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	stream(100, 1);
	fault_arm(0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(fault_fired());
	fault_arm(-1);
	CHECK(!link_is_up());
	close(wire);
	WAIT_FOR(accepted());
	settle();
	offer_frame(0, 100, 2);
	wr(R_NOTIFY, NET_TX);
	fault_arm(0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(fault_fired());
	fault_arm(-1);
	CHECK(!link_is_up());
	unplug_passt();
}

TEST(a_path_that_leads_nowhere)
{
	char long_path[200];
	struct err e;
	int fd = -1;

	CHECK_EQ(net_passt_open("/nonexistent", &fd, &e), -ENOENT);
	CHECK(strstr(e.msg, "/nonexistent") && strstr(e.msg, "No such file"));
	CHECK_EQ(net_passt_open("/dev/null", &fd, &e), -ECONNREFUSED);
	memset(long_path, 'x', sizeof(long_path));
	long_path[108] = '\0';
	CHECK_EQ(net_passt_open(long_path, &fd, &e), -ENAMETOOLONG);
	CHECK_EQ(fd, -1);
}
