/* SPDX-License-Identifier: Apache-2.0 */
/* Two drives on one loop: a flood on one does not keep the other waiting. */
#include "disk.h"

enum { SECOND = 0x80000, MANY = 256, ROUNDS = 50 };

static uint16_t taken; /* used entries of the flooded drive that were offered again */

static void start_queue(struct virtio_mmio *m, unsigned base, unsigned size)
{
	mmio = m;
	to_features_ok(VIRTIO_F_INDIRECT_DESC);
	queue_setup(0);
	wr(R_QUEUE_READY, 0);
	wr(R_QUEUE_NUM, size);
	wr(R_DESC, base + Q_DESC);
	wr(R_AVAIL, base + Q_AVAIL);
	wr(R_USED, base + Q_USED);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
}

/* Reads of the first sector, all into the same place, each by a table of its own. */
static void read_requests(unsigned base, unsigned n)
{
	memset(ram + base + BUF, 0, 16);
	for (unsigned i = 0; i < n; i++) {
		unsigned table = base + TABLE + 48 * i;

		desc(table, 0, base + BUF, 16, NEXT, 1);
		desc(table, 1, base + BUF + 0x1000, SECTOR, WRITE | NEXT, 2);
		desc(table, 2, base + BUF + 0x2000, 1, WRITE, 0);
		desc(base + Q_DESC, i, table, 48, INDIRECT, 0);
		put16(base + Q_AVAIL + 4 + 2 * i, (uint16_t)i);
	}
}

/* What was answered is offered again. */
static void keep_full(void)
{
	for (; taken != get16(Q_USED + 2); taken++) {
		uint16_t idx = get16(Q_AVAIL + 2);

		put16(Q_AVAIL + 4 + 2 * (idx % MANY),
		      (uint16_t)get32(Q_USED + 4 + 8 * (taken % MANY)));
		put16(Q_AVAIL + 2, (uint16_t)(idx + 1));
	}
}

static uint64_t flood(void)
{
	return counter_get(&blk_metrics(dev)->read_count);
}

/* Turns until the quiet drive has answered so many requests; Async waits for the kernel. */
static unsigned turns_until(uint16_t answered)
{
	unsigned turns = 0;

	while (get16(SECOND + Q_USED + 2) != answered) {
		uint64_t before = flood();

		keep_full();
		CHECK_EQ(loop_turn(&loop, 1000), 0);
		CHECK(flood() - before <= (ASYNC ? VDEV_BUDGET + BLK_ASYNC_DEPTH : VDEV_BUDGET));
		turns++;
	}
	return turns;
}

/* One device alone may not hold more of a turn than its budget. */
TEST(a_flood_does_not_starve_the_other_drive)
{
	struct virtio_mmio *flooded, *quiet;
	struct blk_cfg cfg = { .id = "quiet" };
	struct vdev *other;
	uint64_t before;
	unsigned turns;
	struct err e;

	plug_disk((struct blk_cfg){ 0 });
	wr(R_STATUS, 0);
	flooded = mmio;
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	cfg.engine = next_engine();
	CHECK_EQ(blk_create(&cfg, &other, &e), 0);
	CHECK_EQ(virtio_mmio_create(other, &quiet, &e), 0);
	CHECK_EQ(vdev_attach(other, &loop, &mem, (struct irq){ .fd = irq_fd }, &e), 0);
	memset(ram, 0, BUF);
	start_queue(quiet, SECOND, Q_SIZE);
	start_queue(flooded, 0, MANY);
	read_requests(0, MANY);
	read_requests(SECOND, 1);
	put16(Q_AVAIL + 2, MANY);
	wr(R_NOTIFY, 0);
	before = flood();
	for (uint16_t round = 1; round <= ROUNDS; round++) {
		put16(SECOND + Q_AVAIL + 2, round);
		put16(SECOND + Q_AVAIL + 4 + 2 * ((round - 1) % Q_SIZE), 0);
		mmio = quiet;
		wr(R_NOTIFY, 0);
		mmio = flooded;
		turns = turns_until(round);
		CHECK(ASYNC || turns <= 1); /* of Async the kernel decides */
	}
	CHECK(flood() - before > ROUNDS); /* there was one */
	settle();
	virtio_mmio_destroy(quiet);
	unplug_disk();
}

/* Segments may overlap, so requests can be larger than memory: bytes end a turn too. */
TEST(bytes_end_a_turn_as_chains_do)
{
	enum { SEGMENTS = 8, PART = 0x10000, TURN_REQUESTS = (4 << 20) / (SEGMENTS * PART) };
	struct blk_cfg cfg = { .id = "rootfs", .engine = next_engine() };
	struct err e;

	if (ASYNC)
		SKIP("operations of Async end when the kernel says so");
	disk = make_disk(0);
	CHECK_EQ(ftruncate(disk, SEGMENTS * PART), 0);
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	start_queue(mmio, 0, MANY);
	for (unsigned i = 0; i < VDEV_BUDGET; i++) {
		unsigned table = TABLE + 16 * (SEGMENTS + 2) * i;

		desc(table, 0, BUF, 16, NEXT, 1);
		for (uint16_t k = 1; k <= SEGMENTS; k++)
			desc(table, k, SECOND, PART, WRITE | NEXT, (uint16_t)(k + 1));
		desc(table, SEGMENTS + 1, BUF + 0x2000, 1, WRITE, 0);
		desc(Q_DESC, i, table, 16 * (SEGMENTS + 2), INDIRECT, 0);
		put16(Q_AVAIL + 4 + 2 * i, (uint16_t)i);
	}
	put16(Q_AVAIL + 2, VDEV_BUDGET);
	wr(R_NOTIFY, 0);
	CHECK_EQ(loop_turn(&loop, 1000), 0);
	CHECK_EQ(flood(), TURN_REQUESTS);
	settle(); /* the rest follows without a kick */
	CHECK_EQ(flood(), VDEV_BUDGET);
	unplug_disk();
}
