/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device with its driver, for tests: two queues at fixed places, and a socket
 * pair in the place of a tap. What the device sends is read from `wire', and what is
 * written to it comes to the device; a packet of that socket is a frame with its header.
 * With NIC_RING what the device sends goes through an io_uring.
 */
#pragma once

#include <net/if.h>
#include <sys/socket.h>

#include "devices/virtio/net/device.h"
#include "devices/virtio/net/tap.h"
#include "driver.h"

enum { T_DESC = 0x5000, T_AVAIL = 0x6000, T_USED = 0x7000, RX_BUF = BUF, TX_BUF = 0x90000 };
enum { HDR = NET_HDR };

#ifdef NIC_RING
enum { BY_RING = true };
#else
enum { BY_RING = false };
#endif

struct ring {
	unsigned desc, avail, used;
	uint16_t seen;
};

static struct vdev *nic;
static int wire = -1;
static struct ring rxq, txq;
/* What the back end was told, and by a fault of ours would not do. */
static uint64_t begun_with;
static unsigned begun;
static struct net_backend_class wire_class;
static struct uring *uring;

static int wire_begin(struct net_backend *b, uint64_t acked, bool anew)
{
	uint8_t junk[16];

	begun_with = acked;
	begun++;
	while (anew && read(b->src.fd, junk, sizeof(junk)) > 0)
		;
	return net_backend_attach(b);
}

maybe_unused static void use_ring(struct net_backend *b)
{
	const struct uring_cfg cfg = { .depth = NET_BATCH, .chains = true };
	struct err e = { 0 };

	if (uring_create(&cfg, NULL, &uring, &e) < 0)
		SKIP(e.msg);
	net_tap_set_ring(b, uring);
}

maybe_unused static struct net_backend *wire_backend(void)
{
	struct net_backend *b = NULL;
	int pair[2], size = 1 << 20;
	struct err e;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	wire = pair[1];
	CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK_EQ(setsockopt(wire, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK_EQ(net_tap_create(pair[0], &b, &e), 0);
	if (BY_RING) {
		if (!net_tap_never_waits(pair[0]))
			SKIP("this kernel cannot write to a socket without waiting");
		CHECK_EQ(read(wire, &e, sizeof(e)), 1); /* a socket takes what a tap refuses */
		use_ring(b);
	}
	wire_class = *b->class;
	wire_class.begin = wire_begin;
	b->class = &wire_class;
	begun = 0;
	return b;
}

maybe_unused static void plug_nic_on(struct net_backend *b, const struct net_cfg *more)
{
	struct net_cfg cfg = more ? *more : (struct net_cfg){ 0 };
	struct err e;

	cfg.id = "eth0";
	cfg.backend = b;
	CHECK_EQ(net_create(&cfg, &nic, &e), 0);
	plug(nic);
}

maybe_unused static void plug_nic(const struct net_cfg *more)
{
	plug_nic_on(wire_backend(), more);
}

maybe_unused static void unplug_nic(void)
{
	unplug();
	uring_destroy(uring);
	uring = NULL;
	if (wire >= 0)
		close(wire);
	wire = -1;
}

maybe_unused static void set_queue(unsigned queue, const struct ring *r)
{
	wr(R_QUEUE_SEL, queue);
	wr(R_QUEUE_NUM, Q_SIZE);
	wr(R_DESC, r->desc);
	wr(R_AVAIL, r->avail);
	wr(R_USED, r->used);
	wr(R_QUEUE_READY, 1);
}

/* From any state; what is in the rings is forgotten. */
maybe_unused static void run_nic(uint64_t f)
{
	wr(R_STATUS, 0);
	memset(ram, 0, BUF);
	rxq = (struct ring){ Q_DESC, Q_AVAIL, Q_USED, 0 };
	txq = (struct ring){ T_DESC, T_AVAIL, T_USED, 0 };
	to_features_ok(f);
	set_queue(NET_RX, &rxq);
	set_queue(NET_TX, &txq);
	wr(R_STATUS, RUN);
	settle();
	CHECK_EQ(rd(R_STATUS), RUN);
}

/* --- rings ------------------------------------------------------------------------ */

maybe_unused static void ring_offer(struct ring *r, uint16_t head)
{
	uint16_t idx = get16(r->avail + 2);

	put16(r->avail + 4 + 2 * (idx % Q_SIZE), head);
	put16(r->avail + 2, (uint16_t)(idx + 1));
}

maybe_unused static bool ring_used(struct ring *r, uint32_t *head, uint32_t *len)
{
	unsigned at = r->used + 4 + 8 * (r->seen % Q_SIZE);

	if (get16(r->used + 2) == r->seen)
		return false;
	*head = get32(at);
	*len = get32(at + 4);
	r->seen++;
	return true;
}

/* Number of chains that have come back, which are taken. */
maybe_unused static unsigned ring_take(struct ring *r)
{
	uint32_t head, len;
	unsigned n = 0;

	while (ring_used(r, &head, &len))
		n++;
	return n;
}

/* A receive buffer at RX_BUF + 0x1000 i. */
maybe_unused static void give_buffer(uint16_t i, uint32_t len)
{
	desc(rxq.desc, i, RX_BUF + 0x1000U * i, len, WRITE, 0);
	ring_offer(&rxq, i);
}

maybe_unused static uint8_t *buffer(unsigned i)
{
	return ram + RX_BUF + 0x1000U * i;
}

maybe_unused static void kick_queue(unsigned queue)
{
	wr(R_NOTIFY, queue);
	settle();
}

/* --- frames ------------------------------------------------------------------------ */

/* Destination and source addresses, a type, and bytes that tell their place. */
maybe_unused static void make_frame(uint8_t *at, size_t len, uint8_t seed)
{
	memset(at, 0, HDR);
	for (size_t i = HDR; i < len; i++)
		at[i] = (uint8_t)(i * 7 + seed);
}

maybe_unused static bool is_frame(const uint8_t *at, size_t from, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != (uint8_t)((i + from) * 7 + seed))
			return false;
	return true;
}

maybe_unused static uint8_t packet[NET_FRAME_MAX + 100];

/* A frame of `len' bytes, header included, comes from the network. */
maybe_unused static void from_wire(size_t len, uint8_t seed)
{
	make_frame(packet, len, seed);
	CHECK_EQ(write(wire, packet, len), (ssize_t)len);
}

/* The next frame to the network: its length, -1: none. */
maybe_unused static ssize_t to_wire(void)
{
	ssize_t n = read(wire, packet, sizeof(packet));

	CHECK(n > 0 || errno == EAGAIN);
	return n;
}

/* A frame of the driver in one descriptor at TX_BUF. */
maybe_unused static void offer_frame(uint16_t i, uint32_t len, uint8_t seed)
{
	uint32_t at = TX_BUF + 0x1000U * i;

	make_frame(ram + at, len, seed);
	desc(txq.desc, i, at, len, 0, 0);
	ring_offer(&txq, i);
}

/* Turns until `done', which is asked until it is true once, or ten seconds have gone. */
#define WAIT_FOR(done)                                                \
	do {                                                          \
		usec_t end_ = clock_monotonic() + 10 * USEC_PER_SEC;  \
		bool done_;                                           \
		while (!(done_ = (done)) && clock_monotonic() < end_) \
			CHECK_EQ(loop_turn(&loop, 10), 0);            \
		CHECK(done_ &&#done);                                 \
	} while (0)

#define M(name) counter_get(&net_metrics(nic)->name)
