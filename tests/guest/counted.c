/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none devices=block-writeback,rng */
/* A known number of requests of each kind, for the test of the metrics. */
#include "lib/virtio.h"

enum { LEN = 256 };

static struct queue disk_q, rng_q;
static uint8_t data[4096] __attribute__((aligned(4096)));
static uint8_t bytes[LEN];

void payload(void)
{
	const uint64_t disk = virtio_find(DEVICE_BLOCK, 0);
	const uint64_t rng = virtio_find(DEVICE_RNG, 0);

	virtio_start(disk, &disk_q, BLK_F_FLUSH);
	virtio_start(rng, &rng_q, 0);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(blk_request(disk, &disk_q, BLK_IN, i, data, 1024), BLK_OK);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(blk_request(disk, &disk_q, BLK_OUT, 8 * i, data, 4096), BLK_OK);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(blk_request(disk, &disk_q, BLK_FLUSH, 0, NULL, 0), BLK_OK);
	/* Behind the end, no whole sector, no such type: four that make no sense. */
	CHECK_EQ(blk_request(disk, &disk_q, BLK_IN, 2048, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(disk, &disk_q, BLK_OUT, 2048, data, 512), BLK_IOERR);
	CHECK_EQ(blk_request(disk, &disk_q, BLK_IN, 0, data, 100), BLK_IOERR);
	CHECK_EQ(blk_request(disk, &disk_q, 99, 0, data, 512), BLK_UNSUPP);
	for (unsigned i = 0; i < 7; i++) {
		rng_q.desc[0] = (struct desc){ (uint64_t)bytes, LEN, DESC_WRITE, 0 };
		virtio_submit(rng, &rng_q, 0);
		CHECK_EQ(virtio_await(&rng_q, 0), LEN);
	}
}
