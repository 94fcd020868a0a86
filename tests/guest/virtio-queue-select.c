/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* A queue that does not exist can be selected, reads as nothing and takes nothing. */
#include "lib/virtio.h"

static const uint32_t absent[] = { 1,	   2,	       7,	   8,	       255, 256,
				   0xffff, 0x10000000, 0x80000000, 0xfffffffe, ~0u };

static struct queue q, never;

static void check_absent(uint64_t dev, uint32_t index)
{
	const struct place place = queue_place(&never);

	virtio_place_queue(dev, index, &place);
	write32(dev + REG_QUEUE_READY, 1);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 0);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
}

static void check_state(uint64_t dev, enum virtio_state state)
{
	virtio_enter(dev, state, &q);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		check_absent(dev, absent[i]);
		CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[state]);
		/* The queue that exists is not touched. */
		write32(dev + REG_QUEUE_SEL, 0);
		CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 256);
		CHECK_EQ(read32(dev + REG_QUEUE_READY),
			 state == STATE_RUNNING || state == STATE_BROKEN);
	}
	if (state == STATE_RUNNING)
		virtio_check_works(dev, &q);
	CHECK_EQ(never.used.idx, 0);
}

static void check_device(uint64_t dev)
{
	for (enum virtio_state state = STATE_RESET; state < STATES; state++)
		check_state(dev, state);
	/* A reset selects queue 0 again. */
	write32(dev + REG_QUEUE_SEL, 1);
	write32(dev + REG_STATUS, 0);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 256);
}

void payload(void)
{
	check_device(virtio_find(DEVICE_BLOCK, 0));
	check_device(virtio_find(DEVICE_RNG, 0));
}
