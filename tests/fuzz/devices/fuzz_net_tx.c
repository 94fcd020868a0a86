/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a driver: any framing, lengths about every limit, and rarely a broken ring.
 * While the ring is sane every chain comes back once, and the wire carries what was a
 * frame, whole and in order, and nothing else.
 */
#include "devices/nic.h"
#include "script.h"

enum { ROUNDS = 6, CHAINS = 4, TURNS = 3 };

static struct {
	uint32_t len;
	uint8_t seed;
	bool goes;
} offered[CHAINS];
static unsigned next_desc, next_byte;
static bool broken;

/* A batch as a ring does it, without the kernel's share. */
static void send_each(struct net_backend *b, struct net_out *out, unsigned n)
{
	int r = 0;

	CHECK(n > 1 && n <= NET_BATCH);
	for (unsigned i = 0; i < n; i++) {
		if (r == 0)
			r = out[i].r = b->class->send(b, out[i].iov, out[i].n, out[i].len);
		else
			out[i].r = -ECANCELED;
	}
}

/* `len' bytes in up to three descriptors. */
static void chain(struct script *s, unsigned n)
{
	uint32_t len = NET_FRAME_MIN + pick(s, 3000);
	unsigned parts = 1 + pick(s, 3), first = next_desc;
	bool writable = rarely(s);

	if (rarely(s))
		len = (uint32_t)take(s, 1) % (2 * NET_FRAME_MIN);
	if (rarely(s))
		len = NET_FRAME_MAX - 8 + pick(s, 16);
	offered[n].len = len;
	offered[n].seed = (uint8_t)take(s, 1);
	offered[n].goes = !writable && len >= NET_FRAME_MIN && len <= NET_FRAME_MAX;
	if (len >= HDR)
		make_frame(ram + next_byte, len, offered[n].seed);
	for (unsigned i = 0; i < parts; i++) {
		uint32_t part = i + 1 == parts ? len : pick(s, len + 1);

		/* A part of no bytes is not there, whichever way it goes. */
		offered[n].goes |= i + 1 == parts && part == 0 && writable &&
				   offered[n].len >= NET_FRAME_MIN &&
				   offered[n].len <= NET_FRAME_MAX;
		desc(txq.desc, next_desc, next_byte, part,
		     i + 1 < parts ? NEXT : (uint16_t)(writable ? WRITE : 0),
		     (uint16_t)(next_desc + 1));
		next_desc++;
		next_byte += part;
		len -= part;
	}
	ring_offer(&txq, (uint16_t)first);
}

static void check_wire(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!offered[i].goes)
			continue;
		CHECK_EQ(to_wire(), offered[i].len);
		CHECK(is_frame(packet + HDR, HDR, offered[i].len - HDR, offered[i].seed));
	}
	CHECK_EQ(to_wire(), -1);
}

static void round_trip(struct script *s)
{
	unsigned n = 1 + pick(s, CHAINS);

	next_desc = 0;
	next_byte = TX_BUF;
	for (unsigned i = 0; i < n; i++)
		chain(s, i);
	if (rarely(s)) {
		broken = true;
		for (unsigned i = 1 + pick(s, 4); i > 0; i--)
			ram[T_DESC + take(s, 2) % 0x3000] = (uint8_t)take(s, 1);
	}
	wr(R_NOTIFY, NET_TX);
	for (unsigned i = 0; i < TURNS; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
	if (broken) {
		while (to_wire() >= 0)
			;
		return;
	}
	CHECK_EQ(ring_take(&txq), n);
	check_wire(n);
	CHECK_EQ(rd(R_STATUS), RUN);
}

/* As run_nic(), with fewer turns. */
static void start(uint64_t f)
{
	memset(ram, 0, BUF);
	rxq = (struct ring){ Q_DESC, Q_AVAIL, Q_USED, 0 };
	txq = (struct ring){ T_DESC, T_AVAIL, T_USED, 0 };
	to_features_ok(f);
	set_queue(NET_RX, &rxq);
	set_queue(NET_TX, &txq);
	wr(R_STATUS, RUN);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	while (to_wire() >= 0) /* of a broken ring of the input before */
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct net_cfg cfg = { .has_mac = true, .mac = { 2 } };
	static struct net_backend *wire_end;
	struct script s = { data, size };
	unsigned how = (unsigned)take(&s, 1);

	if (!nic) {
		wire_end = wire_backend();
		wire_class.send_all = send_each;
		plug_nic_on(wire_end, &cfg);
	}
	broken = false;
	wire_end->batches = how & 2;
	start(how & 1 ? VIRTIO_F_EVENT_IDX : VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < ROUNDS && s.left > 0; i++)
		round_trip(&s);
	CHECK(vdev_idle(nic));
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	return 0;
}
