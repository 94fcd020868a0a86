/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* Identity, features and the order of the status bits of each device. */
#include "lib/virtio.h"

static void check_identity(uint64_t dev)
{
	CHECK_EQ(read32(dev + REG_MAGIC), VIRTIO_MAGIC);
	CHECK_EQ(read32(dev + REG_VERSION), 2);
	CHECK_EQ(read32(dev + REG_VENDOR_ID), 0);
	CHECK_EQ(read32(dev + REG_STATUS), 0);
	CHECK(virtio_features(dev) & FEATURE_VERSION_1);
	write32(dev + REG_DEVICE_FEATURES_SEL, 2);
	CHECK_EQ(read32(dev + REG_DEVICE_FEATURES), 0);
	write32(dev + REG_DEVICE_FEATURES_SEL, 0);
}

/* A status that leaves out a step is not taken. */
static void refuse_status(uint64_t dev, uint32_t status)
{
	const uint32_t before = read32(dev + REG_STATUS);

	write32(dev + REG_STATUS, status);
	CHECK_EQ(read32(dev + REG_STATUS), before);
}

static void check_status_order(uint64_t dev)
{
	refuse_status(dev, STATUS_DRIVER);
	refuse_status(dev, STATUS_ACKNOWLEDGE | STATUS_DRIVER_OK);
	write32(dev + REG_STATUS, STATUS_ACKNOWLEDGE);
	CHECK_EQ(read32(dev + REG_STATUS), STATUS_ACKNOWLEDGE);
	refuse_status(dev, STATUS_ACKNOWLEDGE | STATUS_FEATURES_OK);
	write32(dev + REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	refuse_status(dev, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK);
	refuse_status(dev, STATUS_ACKNOWLEDGE); /* bits do not go but by a reset */
	write32(dev + REG_STATUS, 0);
	CHECK_EQ(read32(dev + REG_STATUS), 0);
}

static void check_queues(uint64_t dev)
{
	write32(dev + REG_QUEUE_SEL, 0);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 256);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
	write32(dev + REG_QUEUE_SEL, 1);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 0);
	write32(dev + REG_QUEUE_SEL, 0xffffffff);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 0);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
	write32(dev + REG_QUEUE_NOTIFY, 0xffffffff);
	write32(dev + REG_QUEUE_SEL, 0);
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);

	/* In the order of attaching: disks, then entropy. */
	CHECK_EQ(blk, VIRTIO_BASE);
	CHECK_EQ(rng, VIRTIO_BASE + VIRTIO_STRIDE);
	CHECK_EQ(read32(VIRTIO_BASE + 2 * VIRTIO_STRIDE + REG_MAGIC), 0);
	for (unsigned i = 0; i < 2; i++) {
		check_identity(VIRTIO_BASE + i * VIRTIO_STRIDE);
		check_status_order(VIRTIO_BASE + i * VIRTIO_STRIDE);
		check_queues(VIRTIO_BASE + i * VIRTIO_STRIDE);
	}
	/* The capacity in sectors, and nothing behind it. */
	CHECK_EQ(read32(blk + REG_CONFIG), 2048);
	CHECK_EQ(read32(blk + REG_CONFIG + 4), 0);
	CHECK_EQ(read32(blk + REG_CONFIG + 0x80), 0);
}
