/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=block devices=block-writeback */
/* Write, read back, the last sector, flush and the disk's id, by polling. */
#include "lib/virtio.h"

static struct queue q;
static uint8_t out[4096] __attribute__((aligned(4096)));
static uint8_t in[4096] __attribute__((aligned(4096)));

static void check_round_trip(uint64_t dev, uint64_t sector, uint32_t len, uint8_t mark)
{
	fill(out, mark, len);
	fill(in, 0, len);
	CHECK_EQ(blk_request(dev, &q, BLK_OUT, sector, out, len), BLK_OK);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, sector, in, len), BLK_OK);
	CHECK(equal(in, out, len));
}

static void check_id(uint64_t dev)
{
	fill(in, 0xff, 21);
	CHECK_EQ(blk_request(dev, &q, BLK_GET_ID, 0, in, 20), BLK_OK);
	CHECK(in[0] != 0 && in[0] != 0xff);
	CHECK_EQ(in[20], 0xff);
}

void payload(void)
{
	const uint64_t dev = virtio_find(DEVICE_BLOCK, 0);
	const uint64_t sectors = read32(dev + REG_CONFIG);

	CHECK_EQ(sectors, 2048);
	CHECK(virtio_features(dev) & BLK_F_FLUSH);
	CHECK(!(virtio_features(dev) & BLK_F_RO));
	virtio_start(dev, &q, BLK_F_FLUSH);
	/* The runner fills every sector with its own number. */
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 7, in, 4096), BLK_OK);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(read32((uint64_t)in + i * 512ull), 7 + i);
	check_round_trip(dev, 0, 512, 0x11);
	check_round_trip(dev, 8, 4096, 0x22);
	check_round_trip(dev, sectors - 1, 512, 0x33);
	CHECK_EQ(blk_request(dev, &q, BLK_FLUSH, 0, NULL, 0), BLK_OK);
	check_id(dev);
	CHECK(read32(dev + REG_INTERRUPT_STATUS) & INTERRUPT_RING);
	write32(dev + REG_INTERRUPT_ACK, INTERRUPT_RING);
	CHECK_EQ(read32(dev + REG_INTERRUPT_STATUS), 0);
	/* More requests than the ring has places. */
	for (unsigned i = 0; i < 3 * QUEUE_SIZE; i++)
		check_round_trip(dev, i, 512, (uint8_t)i);
}
