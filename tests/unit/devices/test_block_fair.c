/* SPDX-License-Identifier: Apache-2.0 */
/* Two drives on one loop: a flood on one does not keep the other waiting. */
#include "disk.h"

enum { SECOND = 0x80000, MANY = 256, ROUNDS = 50 };

static void start_queue(struct virtio_mmio *m, unsigned base, unsigned size)
{
	mmio = m;
	to_features_ok(0);
	queue_setup(0);
	wr(R_QUEUE_READY, 0);
	wr(R_QUEUE_NUM, size);
	wr(R_DESC, base + Q_DESC);
	wr(R_AVAIL, base + Q_AVAIL);
	wr(R_USED, base + Q_USED);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
}

static void read_request(unsigned base)
{
	memset(ram + base + BUF, 0, 16);
	desc(base, 0, base + BUF, 16, NEXT, 1);
	desc(base, 1, base + BUF + 0x1000, SECTOR, WRITE | NEXT, 2);
	desc(base, 2, base + BUF + 0x2000, 1, WRITE, 0);
}

/* Another 256 requests behind those that were served. */
static void keep_full(void)
{
	uint16_t served = get16(Q_USED + 2);

	put16(Q_AVAIL + 2, (uint16_t)(served + MANY));
}

/* One device alone may not hold more of a turn than its budget. */
TEST(a_flood_does_not_starve_the_other_drive)
{
	struct virtio_mmio *flooded, *quiet;
	struct blk_cfg cfg = { .id = "quiet", .engine = NULL };
	struct vdev *other;
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
	start_queue(flooded, 0, MANY);
	start_queue(quiet, SECOND, Q_SIZE);
	read_request(0); /* 256 times the same head: each is answered before the next */
	read_request(SECOND);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		uint64_t before = counter_get(&blk_metrics(dev)->read_count), flood;

		keep_full();
		mmio = flooded;
		wr(R_NOTIFY, 0);
		put16(SECOND + Q_AVAIL + 2, (uint16_t)round);
		mmio = quiet;
		wr(R_NOTIFY, 0);
		CHECK_EQ(loop_turn(&loop, 0), 0);
		CHECK_EQ(counter_get(&blk_metrics(other)->read_count), round);
		CHECK_EQ(get16(SECOND + Q_USED + 2), round);
		flood = counter_get(&blk_metrics(dev)->read_count) - before;
		CHECK(flood > 0 && flood <= VDEV_BUDGET);
	}
	settle();
	virtio_mmio_destroy(quiet);
	mmio = flooded;
	unplug_disk();
}
