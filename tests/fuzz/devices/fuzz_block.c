/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a block device: framing, types, sectors, ranges, and rarely a broken ring,
 * on the engine that the script names. Whatever comes, every request is answered, with
 * a defined status while the ring is sane, and the file never grows.
 */
#include <sys/stat.h>

#include "devices/driver.h"
#include "devices/virtio/block/async.h"
#include "devices/virtio/block/block.h"
#include "script.h"

enum { SECTORS = 32, REQUESTS = 6, UNTOUCHED = 0x77, ENGINES = 2, TURNS_MAX = 10000 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };

static struct {
	struct vdev *dev;
	struct virtio_mmio *mmio;
} engines[ENGINES]; /* Sync, Async; the second is as the first where there is no io_uring */
static struct uring *ring;
static struct vdev *dev;
static int disk;
static unsigned next_desc, next_byte, last_byte;
static bool broken;

static void device(unsigned i, struct blk_engine *engine)
{
	struct blk_cfg cfg = {
		.id = "fuzz", .cache = BLK_WRITEBACK, .discard = true, .engine = engine
	};
	struct err e;

	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &engines[i].dev, &e), 0);
	if (i == 0) {
		plug(engines[i].dev);
	} else {
		CHECK_EQ(virtio_mmio_create(engines[i].dev, &mmio, &e), 0);
		CHECK_EQ(vdev_attach(engines[i].dev, &loop, &mem, (struct irq){ .fd = irq_fd }, &e),
			 0);
	}
	engines[i].mmio = mmio;
}

static void machine(void)
{
	const struct uring_cfg cfg = { .depth = BLK_ASYNC_DEPTH,
				       .files = 1,
				       .workers = BLK_ASYNC_WORKERS };
	struct blk_engine *engine = NULL;
	struct err e;

	disk = memfd_create("disk", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(disk, SECTORS * 512 + 77), 0);
	device(0, NULL);
	engines[1] = engines[0];
	if (uring_create(&cfg, &loop, &ring, &e) < 0)
		return;
	CHECK_EQ(blk_async_create(ring, 0, &engine, &e), 0);
	device(1, engine);
}

/* One turn for the kick, then what the kernel takes; bounded. */
static void turn(void)
{
	CHECK_EQ(loop_turn(&loop, 0), 0);
	for (unsigned i = 0; ring && uring_inflight(ring) > 0; i++) {
		CHECK(i < TURNS_MAX);
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	}
}

/* `len' bytes in up to four descriptors, the last linked to what follows. */
static void segments(struct script *s, const uint8_t *bytes, unsigned len, uint16_t flags)
{
	for (unsigned n = 1 + pick(s, 4); n > 0; n--) {
		unsigned part = n == 1 ? len : pick(s, len + 1);

		memcpy(ram + next_byte, bytes, part);
		desc(Q_DESC, next_desc, next_byte, part, flags | NEXT, (uint16_t)(next_desc + 1));
		next_desc++;
		if (part > 0)
			last_byte = next_byte + part - 1;
		next_byte += part + pick(s, 64);
		bytes += part;
		len -= part;
	}
}

/* Up to 18 ranges, mostly good ones; returns their bytes. */
static unsigned ranges(struct script *s, uint8_t *to)
{
	unsigned n = rarely(s) ? pick(s, 19) : 1 + pick(s, 3);

	for (unsigned i = 0; i < n; i++) {
		uint64_t sector = rarely(s) ? take(s, 8) : pick(s, SECTORS);
		uint32_t sectors = rarely(s) ? (uint32_t)take(s, 4) : pick(s, 5);
		uint32_t flags = rarely(s) ? (uint32_t)take(s, 4) : pick(s, 2);

		memcpy(to + 16 * i, &sector, 8);
		memcpy(to + 16 * i + 8, &sectors, 4);
		memcpy(to + 16 * i + 12, &flags, 4);
	}
	return 16 * n - (rarely(s) ? pick(s, 16) : 0) * (n > 0);
}

static void request(struct script *s)
{
	static const uint32_t types[] = { IN, OUT, FLUSH, GET_ID, IN, OUT, DISCARD, ZEROES };
	uint32_t type = types[pick(s, ARRAY_SIZE(types))];
	uint64_t sector = pick(s, SECTORS + 2);
	unsigned bytes = 512 * pick(s, 6), first = next_desc;
	uint8_t image[16 + 4096] = { 0 };
	bool out;

	if (rarely(s))
		sector = take(s, 8);
	if (rarely(s))
		bytes = (unsigned)take(s, 2) % 4096;
	if (rarely(s))
		type = (uint32_t)take(s, 4);
	if (type == FLUSH)
		bytes = 0;
	if (type == GET_ID)
		bytes = 20;
	if (type == DISCARD || type == ZEROES)
		bytes = ranges(s, image + 16);
	out = type == OUT || type == DISCARD || type == ZEROES;
	memcpy(image, &type, 4);
	memcpy(image + 8, &sector, 8);
	segments(s, image, out ? 16 + bytes : 16, 0);
	memset(image, UNTOUCHED, sizeof(image));
	segments(s, image, out ? 1 : bytes + 1, WRITE);
	put16(Q_DESC + 16 * (next_desc - 1) + 12, WRITE);
	offer((uint16_t)first);
}

static void round_trip(struct script *s)
{
	unsigned offered = 0, status[REQUESTS];
	uint32_t head, len;

	for (unsigned n = 1 + pick(s, 3); n > 0 && next_desc + 8 <= Q_SIZE; n--) {
		request(s);
		status[offered++] = last_byte;
	}
	if (rarely(s)) {
		broken = true;
		for (unsigned i = 1 + pick(s, 4); i > 0; i--)
			ram[take(s, 2) % (Q_USED + 64)] = (uint8_t)take(s, 1);
	}
	wr(R_NOTIFY, 0);
	turn();
	if (broken)
		return;
	for (unsigned i = 0; i < offered; i++) {
		CHECK(used(&head, &len));
		CHECK(ram[status[i]] <= 2);
	}
	CHECK(!used(&head, &len));
	CHECK_EQ(rd(R_STATUS), RUN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	unsigned first = (unsigned)take(&s, 1);
	struct stat st;

	if (!dev)
		machine();
	dev = engines[first >> 1 & 1].dev;
	mmio = engines[first >> 1 & 1].mmio;
	broken = false;
	run_device(first & 1 ? VIRTIO_F_EVENT_IDX : VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < REQUESTS && s.left > 0; i++) {
		next_desc = 0;
		next_byte = BUF;
		round_trip(&s);
	}
	turn();
	CHECK(vdev_idle(dev));
	CHECK_EQ(fstat(disk, &st), 0);
	CHECK_EQ(st.st_size, SECTORS * 512 + 77);
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	return 0;
}
