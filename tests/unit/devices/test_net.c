/* SPDX-License-Identifier: Apache-2.0 */
/* The network device as a whole: what it offers, its life, its limits, its detour. */
#include "nic.h"

#define OFFLOADS                                                                                 \
	(NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_UFO | \
	 NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_UFO)
#define ALWAYS (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | NET_F_MRG_RXBUF)

static const struct net_cfg with_mac = { .has_mac = true, .mac = { 6, 0, 0, 0, 0, 1 } };

static uint64_t offered(void)
{
	uint64_t f;

	wr(R_DEVICE_FEATURES_SEL, 0);
	f = rd(R_DEVICE_FEATURES);
	wr(R_DEVICE_FEATURES_SEL, 1);
	return f | (uint64_t)rd(R_DEVICE_FEATURES) << 32;
}

TEST(identity)
{
	plug_nic(NULL);
	CHECK_EQ(vdev_id(nic), 1);
	CHECK_EQ(vdev_queues(nic), 2);
	CHECK_EQ(strcmp(vdev_name(nic), "net `eth0'"), 0);
	CHECK_EQ(offered(), ALWAYS | OFFLOADS);
	CHECK_EQ(rd(R_CONFIG), 0);
	CHECK_EQ(rd(R_CONFIG + 8), 0);
	unplug_nic();
}

TEST(address_and_mtu_are_told)
{
	struct net_cfg cfg = with_mac;

	cfg.mtu = NET_MTU_MAX;
	plug_nic(&cfg);
	CHECK_EQ(offered(), ALWAYS | OFFLOADS | NET_F_MAC | NET_F_MTU);
	CHECK_EQ(rd(R_CONFIG), 6);
	CHECK_EQ(rd(R_CONFIG + 4), 0x0100);
	CHECK_EQ(rd(R_CONFIG + 8) >> 16, NET_MTU_MAX);
	unplug_nic();
}

TEST(configuration_cannot_be_written)
{
	plug_nic(&with_mac);
	run_nic(NET_F_MAC);
	wr(R_CONFIG, 0xffffffff);
	CHECK_EQ(rd(R_CONFIG), 6);
	CHECK_EQ(M(cfg_fails), 1);
	unplug_nic();
}

TEST(the_back_end_learns_the_features_with_every_driver)
{
	plug_nic(NULL);
	run_nic(NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
	CHECK_EQ(begun, 1);
	CHECK_EQ(begun_with, VIRTIO_F_VERSION_1 | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
	run_nic(0);
	CHECK_EQ(begun, 2);
	CHECK_EQ(begun_with, VIRTIO_F_VERSION_1);
	unplug_nic();
}

TEST(what_came_before_the_driver_is_dropped)
{
	plug_nic(NULL);
	run_nic(0);
	from_wire(100, 1);
	settle();
	CHECK_EQ(M(no_rx_avail_buffer), 1);
	run_nic(0);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	CHECK_EQ(ring_take(&rxq), 0);
	from_wire(100, 2);
	settle();
	CHECK_EQ(ring_take(&rxq), 1);
	CHECK(is_frame(buffer(0) + HDR, HDR, 100 - HDR, 2));
	unplug_nic();
}

TEST(nothing_moves_while_paused)
{
	uint8_t *was = malloc(RAM);

	plug_nic(NULL);
	run_nic(0);
	for (uint16_t i = 0; i < 8; i++)
		give_buffer(i, 2048);
	kick_queue(NET_RX);
	vdev_pause(nic);
	CHECK(vdev_idle(nic));
	offer_frame(0, 100, 3);
	memcpy(was, ram, RAM);
	from_wire(100, 1);
	from_wire(200, 2);
	kick_queue(NET_TX);
	kick_queue(NET_RX);
	CHECK_EQ(memcmp(was, ram, RAM), 0);
	CHECK_EQ(to_wire(), -1);
	/* The loop sleeps: nothing tells of the frames that wait. */
	CHECK_EQ(M(rx_tap_event_count), 0);
	vdev_resume(nic);
	settle();
	CHECK_EQ(ring_take(&rxq), 2);
	CHECK(is_frame(buffer(1) + HDR, HDR, 200 - HDR, 2));
	CHECK_EQ(to_wire(), 100);
	free(was);
	unplug_nic();
}

/* --- limits -------------------------------------------------------------------------- */

static const struct rate_cfg five = { .size = 5, .refill_time_ms = UINT64_MAX / 2 };
static const struct rate_cfg kilobyte = { .size = 1000, .refill_time_ms = UINT64_MAX / 2 };
static const struct rate_cfg unlimited;

TEST(limits_of_receiving)
{
	plug_nic(NULL);
	run_nic(NET_F_MRG_RXBUF);
	for (uint16_t i = 0; i < 16; i++)
		give_buffer(i, 2048);
	kick_queue(NET_RX);
	net_set_rx_limits(nic, NULL, &five);
	for (uint8_t i = 0; i < 10; i++)
		from_wire(100, i);
	settle();
	CHECK_EQ(ring_take(&rxq), 5);
	CHECK_EQ(M(rx_rate_limiter_throttled), 1);
	kick_queue(NET_RX); /* no way around */
	CHECK_EQ(ring_take(&rxq), 0);
	net_set_rx_limits(nic, &kilobyte, &unlimited);
	settle();
	CHECK_EQ(ring_take(&rxq), 5); /* none of them was lost */
	for (unsigned i = 0; i < 10; i++)
		CHECK(is_frame(buffer(i) + HDR, HDR, 100 - HDR, (uint8_t)i));
	/* 560 bytes are left; the header is not counted. */
	for (uint8_t i = 0; i < 6; i++)
		from_wire(100 + HDR, i);
	settle();
	CHECK_EQ(ring_take(&rxq), 5);
	net_set_rx_limits(nic, &unlimited, NULL);
	settle();
	CHECK_EQ(ring_take(&rxq), 1);
	unplug_nic();
}

TEST(limits_of_sending)
{
	plug_nic(NULL);
	run_nic(0);
	net_set_tx_limits(nic, &unlimited, &five);
	for (uint16_t i = 0; i < 12; i++)
		offer_frame(i, 100, (uint8_t)i);
	kick_queue(NET_TX);
	CHECK_EQ(ring_take(&txq), 5);
	CHECK_EQ(M(tx_rate_limiter_throttled), 1);
	CHECK_EQ(M(tx_remaining_reqs_count), 7);
	net_set_tx_limits(nic, &kilobyte, &unlimited);
	settle();
	CHECK_EQ(ring_take(&txq), 7);
	for (unsigned i = 0; i < 12; i++) {
		CHECK_EQ(to_wire(), 100);
		CHECK(is_frame(packet + HDR, HDR, 100 - HDR, (uint8_t)i));
	}
	unplug_nic();
}

/* --- the detour ------------------------------------------------------------------------ */

static struct {
	unsigned wanted, taken;
	size_t head, taken_len;
	uint8_t frame[NET_FRAME_MAX];
	unsigned to_give;
	size_t give_len;
} seen;

static bool wants(struct net_detour *d, const uint8_t *head, size_t len)
{
	(void)d;
	seen.wanted++;
	seen.head = len;
	return head[0] == (uint8_t)(HDR * 7 + 0x55);
}

static void take(struct net_detour *d, const uint8_t *frame, size_t len)
{
	(void)d;
	seen.taken++;
	seen.taken_len = len;
	memcpy(seen.frame, frame, len);
	seen.to_give++;
}

static size_t give(struct net_detour *d, uint8_t *frame, size_t cap)
{
	(void)d;
	CHECK(cap >= seen.give_len);
	if (seen.to_give == 0)
		return 0;
	seen.to_give--;
	for (size_t i = 0; i < seen.give_len; i++)
		frame[i] = (uint8_t)((i + HDR) * 7 + 0x77);
	return seen.give_len;
}

static struct net_detour detour = { .wants = wants, .take = take, .give = give };

TEST(a_detour_takes_and_gives)
{
	uint32_t head, len;

	plug_nic(NULL);
	net_set_detour(nic, &detour);
	run_nic(NET_F_MRG_RXBUF);
	seen.give_len = 60;
	/* A limit that lets nothing pass is none for the detour. */
	net_set_tx_limits(nic, NULL, &(struct rate_cfg){ 1, UINT64_MAX / 2, 0 });
	offer_frame(0, 40, 1);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 40);
	CHECK_EQ(seen.wanted, 1);
	CHECK_EQ(seen.head, 40 - HDR);
	CHECK_EQ(seen.taken, 0);

	give_buffer(0, 2048);
	offer_frame(1, 2000, 0x55);
	kick_queue(NET_TX);
	CHECK_EQ(seen.head, NET_HEAD);
	CHECK_EQ(seen.taken_len, 2000 - HDR);
	CHECK(is_frame(seen.frame, HDR, 2000 - HDR, 0x55));
	CHECK_EQ(to_wire(), -1);
	CHECK_EQ(ring_take(&txq), 2);
	CHECK(ring_used(&rxq, &head, &len));
	CHECK_EQ(len, 60 + HDR);
	CHECK(is_frame(buffer(0) + HDR, HDR, 60, 0x77));
	CHECK_EQ(buffer(0)[10], 1);
	CHECK_EQ(M(tx_packets_count), 2);
	CHECK_EQ(M(tx_count), 1);
	CHECK_EQ(M(rx_packets_count), 1);
	CHECK_EQ(M(rx_count), 0);
	unplug_nic();
}

TEST(a_detour_waits_for_buffers)
{
	plug_nic(NULL);
	net_set_detour(nic, &detour);
	run_nic(NET_F_MRG_RXBUF);
	seen.give_len = 1500;
	for (uint16_t i = 0; i < 4; i++)
		offer_frame(i, 100, 0x55);
	kick_queue(NET_TX);
	CHECK_EQ(seen.taken, 4);
	CHECK_EQ(ring_take(&rxq), 0);
	for (uint16_t i = 0; i < 5; i++) /* two and a half frames */
		give_buffer(i, 800);
	kick_queue(NET_RX);
	CHECK_EQ(ring_take(&rxq), 4);
	for (uint16_t i = 5; i < 8; i++)
		give_buffer(i, 800);
	kick_queue(NET_RX);
	CHECK_EQ(ring_take(&rxq), 4);
	CHECK_EQ(M(rx_packets_count), 4);
	CHECK_EQ(M(rx_fails), 0);
	unplug_nic();
}

/* --- save and load ---------------------------------------------------------------------- */

TEST(requests_in_progress_survive_save_and_load)
{
	uint8_t first[512], second[512];
	struct state_out out = STATE_OUT_ON(first);
	struct state_in in;
	struct err e;

	plug_nic(&with_mac);
	net_set_rx_limits(nic, &kilobyte, &five);
	run_nic(NET_F_MRG_RXBUF | NET_F_GUEST_CSUM);
	for (uint16_t i = 0; i < 8; i++)
		give_buffer(i, 2048);
	kick_queue(NET_RX);
	from_wire(112, 1);
	settle();
	vdev_pause(nic);
	offer_frame(3, 100, 9);
	kick_queue(NET_TX);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	unplug_nic();

	plug_nic(&with_mac);
	net_set_rx_limits(nic, &kilobyte, &five);
	vdev_pause(nic);
	in = (struct state_in){ .buf = first, .len = out.len };
	CHECK_EQ(virtio_mmio_load(mmio, &in, &e), 0);
	out = STATE_OUT_ON(second);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	CHECK_EQ(out.len, in.len);
	CHECK_EQ(memcmp(first, second, out.len), 0);
	from_wire(112, 2); /* to the driver that goes on: not dropped */
	vdev_resume(nic);
	settle();
	CHECK_EQ(begun, 1);
	CHECK_EQ(begun_with, VIRTIO_F_VERSION_1 | NET_F_MRG_RXBUF | NET_F_GUEST_CSUM);
	CHECK_EQ(to_wire(), 100);
	CHECK(is_frame(packet + HDR, HDR, 100 - HDR, 9));
	CHECK_EQ(ring_take(&rxq), 2);
	CHECK(is_frame(buffer(1) + HDR, HDR, 100, 2));
	unplug_nic();
}

TEST(damaged_state)
{
	uint8_t saved[512];
	struct state_out out = STATE_OUT_ON(saved);
	struct err e;

	plug_nic(NULL);
	vdev_pause(nic);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	unplug_nic();
	for (size_t len = 0; len < out.len; len++) {
		struct state_in in = { .buf = saved, .len = len };

		plug_nic(NULL);
		vdev_pause(nic);
		CHECK(virtio_mmio_load(mmio, &in, &e) < 0);
		CHECK(strstr(e.msg, "net `eth0'") != NULL);
		unplug_nic();
	}
}

TEST(creation_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	for (unsigned n = 0;; n++) {
		struct net_backend *b = wire_backend();
		struct net_cfg cfg = { .id = "eth0", .backend = b };
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = net_create(&cfg, &nic, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK(n >= 4);
			vdev_destroy(nic);
			return;
		}
		CHECK(strstr(e.msg, "eth0") != NULL);
		b->class->destroy(b);
		close(wire);
	}
}

TEST(a_back_end_that_will_not_begin)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_nic(NULL);
	run_nic(0);
	run_nic(0); /* the source is the loop's already */
	wr(R_STATUS, 0);
	settle();
	memset(ram, 0, BUF);
	/* Of another device, whose source is not yet. */
	unplug_nic();
	plug_nic(NULL);
	to_features_ok(0);
	rxq = (struct ring){ Q_DESC, Q_AVAIL, Q_USED, 0 };
	set_queue(NET_RX, &rxq);
	wr(R_STATUS, RUN);
	fault_arm(0);
	settle();
	CHECK(fault_fired());
	fault_arm(-1);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK_EQ(M(event_fails), 1);
	run_nic(0);
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(to_wire(), 100);
	unplug_nic();
}
