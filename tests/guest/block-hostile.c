/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=block devices=block,rng timeout=60 */
/* Requests that make no sense get a status; broken rings stop this device and no other. */
#include "lib/virtio.h"

static struct queue q, rng_q;
static uint8_t data[1024] __attribute__((aligned(512)));

static void check_bad_requests(uint64_t dev)
{
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 2048, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 2047, data, 1024), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_OUT, 2047, data, 1024), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 0x80000000000000, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, ~0ull, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 0, data, 100), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, 99, 0, data, 512), BLK_UNSUPP);
	/* The disk was not touched by any of them. */
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 2047, data, 512), BLK_OK);
	CHECK_EQ(read32((uint64_t)data), 2047);
}

static void check_other_device(uint64_t rng)
{
	rng_q.desc[0] = (struct desc){ (uint64_t)data, 64, DESC_WRITE, 0 };
	virtio_submit(rng, &rng_q, 0);
	CHECK_EQ(virtio_await(&rng_q, 0), 64);
}

/* Breaks the ring of a running device, sees that it stopped alone, revives it. */
static void check_broken(uint64_t dev, uint64_t rng, struct desc first, struct desc second)
{
	q.desc[0] = first;
	q.desc[1] = second;
	virtio_submit(dev, &q, 0);
	virtio_await_status(dev, STATUS_NEEDS_RESET);
	CHECK(read32(dev + REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG);
	check_other_device(rng);
	virtio_start(dev, &q, 0);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 5, data, 512), BLK_OK);
	CHECK_EQ(read32((uint64_t)data), 5);
}

void payload(void)
{
	const uint64_t dev = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);
	const uint64_t ok = (uint64_t)data;
	const struct desc next = { ok, 512, DESC_NEXT | DESC_WRITE, 2 };

	virtio_start(rng, &rng_q, 0);
	virtio_start(dev, &q, 0);
	check_bad_requests(dev);
	/* A loop. */
	check_broken(dev, rng, (struct desc){ ok, 16, DESC_NEXT, 1 },
		     (struct desc){ ok, 16, DESC_NEXT, 0 });
	/* A next that is no descriptor. */
	check_broken(dev, rng, (struct desc){ ok, 16, DESC_NEXT, QUEUE_SIZE }, next);
	/* Memory that is not there: beyond the end, the devices' window, around zero. */
	check_broken(dev, rng, (struct desc){ 1ull << 40, 16, DESC_NEXT, 1 }, next);
	check_broken(dev, rng, (struct desc){ VIRTIO_BASE, 16, DESC_NEXT, 1 }, next);
	check_broken(dev, rng, (struct desc){ ~0ull - 7, 16, DESC_NEXT, 1 }, next);
	/* Readable after writable. */
	check_broken(dev, rng, (struct desc){ ok, 16, DESC_NEXT | DESC_WRITE, 1 },
		     (struct desc){ ok, 16, 0, 0 });
	/* The index runs ahead by more than the ring holds. */
	q.avail.idx = (uint16_t)(q.avail.idx + 1000);
	check_broken(dev, rng, (struct desc){ ok, 16, 0, 0 }, next);
	/* A head that is no descriptor. */
	virtio_submit(dev, &q, QUEUE_SIZE);
	virtio_await_status(dev, STATUS_NEEDS_RESET);
	virtio_start(dev, &q, 0);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 5, data, 512), BLK_OK);
}
