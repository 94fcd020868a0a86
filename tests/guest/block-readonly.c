/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=block devices=block-readonly */
/* A read-only disk says so, reads, and refuses to be written. */
#include "lib/virtio.h"

static struct queue q;
static uint8_t data[512] __attribute__((aligned(512)));

void payload(void)
{
	const uint64_t dev = virtio_find(DEVICE_BLOCK, 0);

	CHECK(virtio_features(dev) & BLK_F_RO);
	CHECK(!(virtio_features(dev) & BLK_F_FLUSH));
	virtio_start(dev, &q, BLK_F_RO);
	fill(data, 0x77, sizeof(data));
	CHECK_EQ(blk_request(dev, &q, BLK_OUT, 3, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(dev, &q, BLK_IN, 3, data, 512), BLK_OK);
	CHECK_EQ(read32((uint64_t)data), 3);
}
