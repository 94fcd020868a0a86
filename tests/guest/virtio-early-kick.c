/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* A kick before DRIVER_OK runs nothing; the device works all the same afterwards. */
#include "lib/virtio.h"

enum { ROUNDS = 50 };

static struct queue q;
static uint8_t data[64];

/* Long enough for a kick to be taken, if anybody took it. */
static void wait_a_little(uint64_t dev)
{
	for (unsigned i = 0; i < 50; i++)
		(void)read32(dev + REG_STATUS);
}

static void offer(void)
{
	q.desc[0] = (struct desc){ (uint64_t)data, sizeof(data), DESC_WRITE, 0 };
	q.avail.ring[0] = 0;
	__asm__ volatile("" ::: "memory");
	*(volatile uint16_t *)&q.avail.idx = 1;
	fence();
}

static void check_once(uint64_t dev, bool patiently)
{
	virtio_enter(dev, STATE_FEATURES, NULL);
	virtio_set_queue(dev, 0, &q);
	offer();
	fill(data, 0, sizeof(data));
	write32(dev + REG_QUEUE_NOTIFY, 0);
	if (patiently)
		wait_a_little(dev);
	CHECK_EQ(*(volatile uint16_t *)&q.used.idx, 0);
	CHECK_EQ(read32(dev + REG_INTERRUPT_STATUS), 0);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_FEATURES]);
	/* With DRIVER_OK the kick counts again; from there on it may run. */
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	write32(dev + REG_QUEUE_NOTIFY, 0);
	if (read32(dev + REG_DEVICE_ID) == DEVICE_RNG)
		CHECK_EQ(virtio_await(&q, 0), sizeof(data));
	else
		(void)virtio_await(&q, 0); /* no header: answered, not carried out */
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_RUNNING]);
	virtio_check_works(dev, &q);
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);

	for (unsigned i = 0; i < ROUNDS; i++) {
		check_once(blk, i % 2);
		check_once(rng, i % 2);
	}
}
