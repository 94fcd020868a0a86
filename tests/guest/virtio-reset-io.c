/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,block,rng timeout=60 */
/* Reset with requests under way: complete when the write returns, and the device goes on. */
#include "lib/virtio.h"

enum { ROUNDS = 200, BATCH = 5, BYTES = 64 * 1024, MARK = 0x5a5a5a5a };

static struct queue q, other_q;
static uint8_t data[BATCH][BYTES] __attribute__((aligned(4096)));
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t status[BATCH];

static void offer(bool block, unsigned i)
{
	const uint16_t head = (uint16_t)(3 * i);

	q.desc[head] = (struct desc){ (uint64_t)&header, sizeof(header), DESC_NEXT,
				      (uint16_t)(head + 1) };
	q.desc[head + 1] = (struct desc){ (uint64_t)data[i], BYTES, DESC_NEXT | DESC_WRITE,
					  (uint16_t)(head + 2) };
	q.desc[head + 2] = (struct desc){ (uint64_t)&status[i], 1, DESC_WRITE, 0 };
	q.avail.ring[i] = block ? head : (uint16_t)(head + 1);
}

/* Marks the memory that the device was given, and sees that it lets go of it. */
static void check_memory_is_ours(uint16_t used)
{
	for (unsigned i = 0; i < BATCH; i++)
		for (unsigned at = 0; at < BYTES; at += 16384)
			*(volatile uint32_t *)&data[i][at] = MARK;
	for (unsigned i = 0; i < 20; i++)
		(void)read32(VIRTIO_BASE + REG_STATUS);
	for (unsigned i = 0; i < BATCH; i++)
		for (unsigned at = 0; at < BYTES; at += 16384)
			CHECK_EQ(*(volatile uint32_t *)&data[i][at], MARK);
	CHECK_EQ(*(volatile uint16_t *)&q.used.idx, used);
}

static void reset_under_way(uint64_t dev, bool block)
{
	virtio_start(dev, &q, 0);
	for (unsigned i = 0; i < BATCH; i++)
		offer(block, i);
	__asm__ volatile("" ::: "memory");
	*(volatile uint16_t *)&q.avail.idx = BATCH;
	fence();
	write32(dev + REG_QUEUE_NOTIFY, 0);
	write32(dev + REG_STATUS, 0);
	check_memory_is_ours(*(volatile uint16_t *)&q.used.idx);
	CHECK_EQ(read32(dev + REG_STATUS), 0);
	CHECK_EQ(read32(dev + REG_INTERRUPT_STATUS), 0);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);
	const uint64_t other = virtio_find(DEVICE_BLOCK, 1);

	virtio_start(other, &other_q, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		const bool block = i % 2 == 0;

		reset_under_way(block ? blk : rng, block);
		virtio_check_works(other, &other_q);
	}
	virtio_start(blk, &q, 0);
	virtio_check_works(blk, &q);
	virtio_start(rng, &q, 0);
	virtio_check_works(rng, &q);
}
