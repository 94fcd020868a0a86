/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Requests for a disk, as many as it takes, for tests/perf: `depth' of `len' bytes in flight at
 * any time, and a line on the console whenever `count' more are done, with the ticks of the
 * time stamp counter that they took. Never ends.
 *
 * The command line says where devices are, because a peer's machine has them elsewhere:
 * base, stride and slots of the windows; and depth, len, count, sectors of the disk, write (0
 * or 1), seq (0 or 1), and user (1: at CPL 3, where an interpreting KVM runs at full speed).
 * Entered by PVH, which the peer has too.
 */
#include "lib/pvh.h"
#include "lib/virtio.h"

PVH_NOTE;

enum { SIZE = 128, DEPTH_MAX = 32, PER_REQUEST = 3, DATA = 16 << 20, LEN_MAX = 128 << 10 };
enum { SECTOR = 512, NEVER = 0x8000 };

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

static struct {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status;
} request[DEPTH_MAX] __attribute__((aligned(64)));

static uint64_t disk, places, per_place;
static bool sequential;

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

static uint64_t find_disk(void)
{
	const uint64_t base = number("base="), stride = number("stride="), slots = number("slots=");

	for (uint64_t dev = base; dev < base + slots * stride; dev += stride)
		if (read32(dev + REG_MAGIC) == VIRTIO_MAGIC &&
		    read32(dev + REG_DEVICE_ID) == DEVICE_BLOCK)
			return dev;
	fail(__FILE__, __LINE__, "no disk");
}

static void start(void)
{
	const struct place place = { SIZE, (uint64_t)q.desc, (uint64_t)&q.avail,
				     (uint64_t)&q.used };

	/* As Linux does: a peer syncs each write of a driver that would never flush. */
	virtio_negotiate(disk, FEATURE_EVENT_IDX | BLK_F_FLUSH);
	virtio_place_queue(disk, 0, &place);
	write32(disk + REG_QUEUE_READY, 1);
	q.avail.used_event = (uint16_t)NEVER; /* everything is polled for */
	write32(disk + REG_STATUS,
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

static void make_requests(unsigned depth, uint32_t len, bool write)
{
	CHECK(depth > 0 && depth <= DEPTH_MAX && len <= LEN_MAX);
	for (unsigned i = 0; i < depth; i++) {
		struct desc *d = &q.desc[PER_REQUEST * i];

		request[i].type = write ? BLK_OUT : BLK_IN;
		d[0] = (struct desc){ (uint64_t)&request[i], 16, DESC_NEXT,
				      (uint16_t)(PER_REQUEST * i + 1) };
		d[1] = (struct desc){ DATA + (uint64_t)i * LEN_MAX, len,
				      write ? DESC_NEXT : DESC_NEXT | DESC_WRITE,
				      (uint16_t)(PER_REQUEST * i + 2) };
		d[2] = (struct desc){ (uint64_t)&request[i].status, 1, DESC_WRITE, 0 };
	}
}

static uint64_t next_sector(void)
{
	static uint64_t seed = 88172645463325252, at;

	if (sequential)
		return at++ % places * per_place;
	seed ^= seed << 13; /* Marsaglia's xorshift64 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return ((seed >> 32) * places >> 32) * per_place;
}

/* Into the ring, not yet offered; returns the index behind it. */
static uint16_t put_in(uint16_t idx, unsigned i)
{
	request[i].sector = next_sector();
	q.avail.ring[idx % SIZE] = (uint16_t)(PER_REQUEST * i);
	return (uint16_t)(idx + 1);
}

/* Offers what is in the ring up to `idx', with a kick if the device waits for one. */
static void offer(uint16_t idx)
{
	const uint16_t before = q.avail.idx;
	uint16_t event;

	__asm__ volatile("" ::: "memory"); /* x86 keeps stores in order */
	*(volatile uint16_t *)&q.avail.idx = idx;
	fence();
	event = *(volatile uint16_t *)&q.used.avail_event;
	if ((uint16_t)(idx - event - 1) < (uint16_t)(idx - before))
		write32(disk + REG_QUEUE_NOTIFY, 0);
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
	const uint64_t count = number("count="), len = number("len=");
	const unsigned depth = (unsigned)number("depth=");
	uint16_t idx = 0, seen = 0;
	uint64_t done = 0, since;

	sequential = number("seq=");
	per_place = len / SECTOR;
	places = number("sectors=") / per_place;
	disk = find_disk();
	if (number("user="))
		enter_user_mode();
	start();
	make_requests(depth, (uint32_t)len, number("write="));
	for (unsigned i = 0; i < depth; i++)
		idx = put_in(idx, i);
	for (since = rdtsc();;) {
		offer(idx);
		while (*(volatile uint16_t *)&q.used.idx == seen)
			__asm__ volatile("pause");
		for (; *(volatile uint16_t *)&q.used.idx != seen; seen++) {
			const unsigned i = q.used.ring[seen % SIZE].id / PER_REQUEST;

			CHECK_EQ(request[i].status, BLK_OK);
			idx = put_in(idx, i);
			if (++done % count == 0)
				since = say_round(since);
		}
		q.avail.used_event = (uint16_t)(seen + NEVER);
	}
}
