/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Frames to or from a network device, as many as it takes, for tests/perf: a line on the
 * console whenever `count' more have gone, with the ticks of the time stamp counter that
 * they took. Never ends.
 *
 * The command line says where devices are, because a peer's machine has them elsewhere:
 * base, stride and slots of the windows; and rx (1: from the device), len of a frame to
 * it, tso (1: it is a TCP segment to be cut), count, and user (1: at CPL 3, where an
 * interpreting KVM runs at full speed). Entered by PVH, which the peer has too.
 */
#include "lib/pvh.h"
#include "lib/virtio.h"

PVH_NOTE;

enum { SIZE = 256, HDR = 12, FRAME_MAX = 65536, RX_LEN = 2048, RX_DATA = 16 << 20 };
enum { NEVER = 0x8000, DEVICE_NET = 1, RX = 0, TX = 1 };
#define NET_F_CSUM	(1ull << 0)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_MRG_RXBUF (1ull << 15)

static struct {
	struct desc desc[SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[SIZE], used_event;
	} avail __attribute__((aligned(2)));
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} q __attribute__((aligned(4096)));

static uint8_t frame[HDR + FRAME_MAX] __attribute__((aligned(64)));
static uint64_t nic;

static uint64_t number(const char *name)
{
	const struct pvh_info *info = (const struct pvh_info *)(uint64_t)pvh_state.ebx;
	const char *at = find((const char *)info->cmdline, name);
	uint64_t n = 0;

	CHECK(at);
	while (*at != '=')
		at++;
	for (at++; *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

static uint64_t find_nic(void)
{
	const uint64_t base = number("base="), stride = number("stride="), slots = number("slots=");

	for (uint64_t dev = base; dev < base + slots * stride; dev += stride)
		if (read32(dev + REG_MAGIC) == VIRTIO_MAGIC &&
		    read32(dev + REG_DEVICE_ID) == DEVICE_NET)
			return dev;
	fail(__FILE__, __LINE__, "no network device");
}

static void start(unsigned queue, uint64_t features)
{
	const struct place place = { SIZE, (uint64_t)q.desc, (uint64_t)&q.avail,
				     (uint64_t)&q.used };

	virtio_negotiate(nic, FEATURE_EVENT_IDX | NET_F_MRG_RXBUF | features);
	virtio_place_queue(nic, queue, &place);
	write32(nic + REG_QUEUE_READY, 1);
	q.avail.used_event = (uint16_t)NEVER; /* everything is polled for */
	write32(nic + REG_STATUS,
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

static void put16(unsigned at, unsigned v)
{
	frame[at] = (uint8_t)(v >> 8);
	frame[at + 1] = (uint8_t)v;
}

/* To nobody; with tso a TCP segment of IPv4 for a stranger. */
static void make_frame(unsigned len, bool tso)
{
	const unsigned ip = HDR + 14, tcp = ip + 20;

	for (unsigned i = 0; i < 12; i++)
		frame[HDR + i] = (uint8_t)(2 + (i == 5 ? 0xf0 : 0));
	put16(HDR + 12, tso ? 0x0800 : 0x88b5);
	if (!tso)
		return;
	frame[0] = 1;	 /* NEEDS_CSUM: virtio 1.2, 5.1.6 */
	frame[1] = 1;	 /* GSO_TCPV4 */
	frame[2] = 54;	 /* hdr_len, of the three headers */
	frame[4] = 0xa8; /* gso_size 1448, little-endian */
	frame[5] = 0x05;
	frame[6] = 34; /* csum_start */
	frame[8] = 16; /* csum_offset */
	frame[ip] = 0x45;
	put16(ip + 2, len - 14);
	frame[ip + 8] = 64;
	frame[ip + 9] = 6;
	put16(ip + 10, 0);
	put16(ip + 12, 0xc000);
	put16(ip + 14, 0x0201);
	put16(ip + 16, 0xc000);
	put16(ip + 18, 0x0202);
	frame[tcp + 12] = 0x50;
	frame[tcp + 13] = 0x10;
}

/* Offers what is in the ring up to `idx', with a kick if the device waits for one. */
static void offer(unsigned queue, uint16_t idx)
{
	const uint16_t before = q.avail.idx;
	uint16_t event;

	__asm__ volatile("" ::: "memory"); /* x86 keeps stores in order */
	*(volatile uint16_t *)&q.avail.idx = idx;
	fence();
	event = *(volatile uint16_t *)&q.used.avail_event;
	if ((uint16_t)(idx - event - 1) < (uint16_t)(idx - before))
		write32(nic + REG_QUEUE_NOTIFY, queue);
}

static uint64_t say_round(uint64_t since)
{
	put("ROUND ");
	put_hex(rdtsc() - since);
	put("\n");
	return rdtsc(); /* without what it took to say so */
}

void payload(void)
{
	const bool rx = number("rx="), tso = number("tso=");
	const unsigned queue = rx ? RX : TX, len = (unsigned)number("len=");
	const uint64_t count = number("count=");
	uint16_t idx = 0, seen = 0;
	uint64_t done = 0, since;

	CHECK(len <= FRAME_MAX);
	nic = find_nic();
	if (number("user="))
		enter_user_mode();
	start(queue, tso ? NET_F_CSUM | NET_F_HOST_TSO4 : 0);
	make_frame(len, tso);
	for (unsigned i = 0; i < SIZE; i++) {
		q.desc[i] = rx ? (struct desc){ RX_DATA + (uint64_t)i * RX_LEN, RX_LEN, DESC_WRITE,
						0 }
			       : (struct desc){ (uint64_t)frame, HDR + len, 0, 0 };
		q.avail.ring[i] = (uint16_t)i;
		idx++;
	}
	for (since = rdtsc();;) {
		offer(queue, idx);
		while (*(volatile uint16_t *)&q.used.idx == seen)
			__asm__ volatile("pause");
		for (; *(volatile uint16_t *)&q.used.idx != seen; seen++) {
			q.avail.ring[idx++ % SIZE] = (uint16_t)q.used.ring[seen % SIZE].id;
			if (++done % count == 0)
				since = say_round(since);
		}
		q.avail.used_event = (uint16_t)(seen + NEVER);
	}
}
