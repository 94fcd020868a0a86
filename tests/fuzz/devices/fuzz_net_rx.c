/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of any length into buffers of any number and size, mergeable or not, and rarely
 * a broken ring. While the ring is sane, what arrives are frames that were sent, whole
 * and in order (some are dropped), each in as many buffers as its header says, and no
 * byte outside of the buffers is written.
 */
#include "devices/nic.h"
#include "script.h"

enum { ROUNDS = 8, FRAMES = 5, SENT_MAX = ROUNDS * FRAMES, TURNS = 3, GUARD = 0x5a };

static struct {
	size_t len;
	uint8_t seed;
} sent[SENT_MAX];
static unsigned nsent, next_sent;
static uint32_t size_of[Q_SIZE];
static bool is_offered[Q_SIZE];
static bool broken, mergeable;

/* Buffer i has 0x1000 bytes of memory, of which the last are a guard. */
static void offer_buffer(struct script *s, uint16_t i)
{
	uint32_t len = HDR + pick(s, 2000), first = pick(s, len);

	if (is_offered[i])
		return;
	is_offered[i] = true;
	size_of[i] = len;
	memset(buffer(i), GUARD, 0x1000);
	if (pick(s, 4) > 0) {
		desc(rxq.desc, i, RX_BUF + 0x1000U * i, len, WRITE, 0);
	} else { /* in two parts, by a table */
		desc(TABLE, 2U * i, RX_BUF + 0x1000U * i, first, WRITE | NEXT, 1);
		desc(TABLE, 2U * i + 1, RX_BUF + 0x1000U * i + first, len - first, WRITE, 0);
		desc(rxq.desc, i, TABLE + 32U * i, 32, INDIRECT, 0);
	}
	ring_offer(&rxq, i);
}

static bool next_buffer(uint32_t *head, uint32_t *len)
{
	if (!ring_used(&rxq, head, len))
		return false;
	CHECK(*head < Q_SIZE && is_offered[*head]);
	is_offered[*head] = false;
	CHECK(*len <= size_of[*head]);
	for (unsigned i = size_of[*head]; i < 0x1000; i++)
		CHECK_EQ(buffer(*head)[i], GUARD);
	return true;
}

/* One frame out of the used ring; false: there is none. */
static bool check_frame(void)
{
	static uint8_t whole[NET_FRAME_MAX];
	uint32_t head, len;
	size_t at = 0;
	unsigned n;

	if (!next_buffer(&head, &len))
		return false;
	n = get16(RX_BUF + 0x1000U * head + 10);
	CHECK(n >= 1 && (mergeable || n == 1));
	for (;;) {
		memcpy(whole + at, buffer(head), len);
		at += len;
		if (--n == 0)
			break;
		CHECK_EQ(len, size_of[head]);
		CHECK(next_buffer(&head, &len));
	}
	while (next_sent < nsent && (sent[next_sent].len != at ||
				     !is_frame(whole + HDR, HDR, at - HDR, sent[next_sent].seed)))
		next_sent++;
	CHECK(next_sent++ < nsent);
	return true;
}

static void send_frame(struct script *s)
{
	size_t len = NET_FRAME_MIN + pick(s, 1600);

	if (pick(s, 4) == 0)
		len = NET_FRAME_MIN + pick(s, 9000);
	if (rarely(s))
		len = NET_FRAME_MAX - 8 + pick(s, 16);
	if (rarely(s))
		len = 1 + pick(s, NET_FRAME_MIN + 4);
	sent[nsent].len = len;
	sent[nsent++].seed = (uint8_t)take(s, 1);
	make_frame(packet, len > HDR ? len : HDR, sent[nsent - 1].seed);
	CHECK_EQ(write(wire, packet, len), (ssize_t)len);
}

static void step(struct script *s)
{
	for (unsigned i = pick(s, 8); i > 0; i--)
		offer_buffer(s, (uint16_t)pick(s, Q_SIZE));
	for (unsigned i = pick(s, FRAMES); i > 0; i--)
		send_frame(s);
	if (rarely(s)) {
		broken = true;
		for (unsigned i = 1 + pick(s, 4); i > 0; i--)
			ram[take(s, 2) % (Q_USED + 64)] = (uint8_t)take(s, 1);
	}
	wr(R_NOTIFY, NET_RX);
	for (unsigned i = 0; i < TURNS; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
	while (!broken && check_frame())
		;
	CHECK(broken || rd(R_STATUS) == RUN);
}

static void start(uint64_t f)
{
	memset(ram, 0, BUF);
	rxq = (struct ring){ Q_DESC, Q_AVAIL, Q_USED, 0 };
	txq = (struct ring){ T_DESC, T_AVAIL, T_USED, 0 };
	to_features_ok(f);
	set_queue(NET_RX, &rxq);
	wr(R_STATUS, RUN);
	CHECK_EQ(loop_turn(&loop, 0), 0); /* what the input before has left is dropped */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	unsigned first = (unsigned)take(&s, 1);

	if (!nic)
		plug_nic(NULL);
	memset(is_offered, 0, sizeof(is_offered));
	nsent = next_sent = 0;
	broken = false;
	mergeable = first & 1;
	start((mergeable ? NET_F_MRG_RXBUF : 0) | (first & 2 ? VIRTIO_F_EVENT_IDX : 0) |
	      VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < ROUNDS && s.left > 0; i++)
		step(&s);
	CHECK(vdev_idle(nic));
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	return 0;
}
