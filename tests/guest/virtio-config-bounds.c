/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,block,rng */
/* Configuration space: nothing behind its end, and nothing to write. */
#include "lib/virtio.h"

enum { CAPACITY = 2048, SEG_MAX_AT = 12 };

static struct queue q;

static void check_block_space(uint64_t dev)
{
	CHECK_EQ(read64(dev + REG_CONFIG), CAPACITY);
	CHECK_EQ(read32(dev + REG_CONFIG), CAPACITY);
	CHECK_EQ(read8(dev + REG_CONFIG + 1), CAPACITY >> 8);
	CHECK(read32(dev + REG_CONFIG + SEG_MAX_AT) > 0);
	/* Half in, half out. */
	CHECK_EQ(read64(dev + REG_CONFIG + SEG_MAX_AT), read32(dev + REG_CONFIG + SEG_MAX_AT));
	CHECK_EQ(read32(dev + REG_CONFIG + 15), 0);
}

static void check_nothing_behind(uint64_t dev, uint32_t from)
{
	for (uint32_t off = from; off < VIRTIO_WINDOW - REG_CONFIG; off += off < 0x80 ? 1 : 37) {
		CHECK_EQ(read8(dev + REG_CONFIG + off), 0);
		CHECK_EQ(read32(dev + REG_CONFIG + off), 0);
		CHECK_EQ(read64(dev + REG_CONFIG + off), 0);
	}
	/* The last bytes, and across the end into the next window. */
	CHECK_EQ(read32(dev + VIRTIO_WINDOW - 4), 0);
	CHECK_EQ(read64(dev + VIRTIO_WINDOW - 8), 0);
	CHECK_EQ(read64(dev + VIRTIO_WINDOW - 4), (uint64_t)read32(dev + VIRTIO_WINDOW) << 32);
}

static void write_everywhere(uint64_t dev)
{
	for (uint32_t off = 0; off < VIRTIO_WINDOW - REG_CONFIG; off += off < 0x80 ? 1 : 37) {
		write8(dev + REG_CONFIG + off, 0xff);
		write16(dev + REG_CONFIG + off, 0xffff);
		write32(dev + REG_CONFIG + off, ~0u);
		/* Not into the next window: that is another device's. */
		if (REG_CONFIG + off + 8 <= VIRTIO_WINDOW)
			write64(dev + REG_CONFIG + off, ~0ull);
	}
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);

	for (enum virtio_state state = STATE_RESET; state < STATES; state++) {
		virtio_enter(blk, state, &q);
		write_everywhere(blk);
		check_block_space(blk);
		check_nothing_behind(blk, 16);
		CHECK_EQ(read32(blk + REG_STATUS), virtio_state_bits[state]);
		CHECK_EQ(read32(blk + REG_CONFIG_GENERATION), 0);
		if (state == STATE_RUNNING)
			virtio_check_works(blk, &q);
	}
	virtio_enter(rng, STATE_RUNNING, &q);
	write_everywhere(rng);
	for (uint32_t off = 0; off < VIRTIO_WINDOW - REG_CONFIG; off += 4)
		CHECK_EQ(read32(rng + REG_CONFIG + off), 0);
	virtio_check_works(rng, &q);
}
