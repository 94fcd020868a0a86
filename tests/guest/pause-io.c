/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Writes numbers to a disk and reads them back, resets it now and then, and asks for
 * random bytes in between, until the host presses Ctrl+Alt+Del.
 */
#include "lib/virtio.h"

enum { SECTORS = 2048, RESET_EVERY = 32 };

static struct queue disk_q, rng_q;
static uint64_t data[64] __attribute__((aligned(512)));

static void round_trip(uint64_t disk, uint64_t n)
{
	const uint64_t sector = n % SECTORS;

	data[0] = n;
	data[63] = ~n;
	CHECK_EQ(blk_request(disk, &disk_q, BLK_OUT, sector, data, sizeof(data)), BLK_OK);
	data[0] = data[63] = 0;
	CHECK_EQ(blk_request(disk, &disk_q, BLK_IN, sector, data, sizeof(data)), BLK_OK);
	CHECK_EQ(data[0], n);
	CHECK_EQ(data[63], ~n);
}

void payload(void)
{
	const uint64_t disk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);
	uint64_t n;

	host_listen();
	virtio_start(disk, &disk_q, 0);
	virtio_start(rng, &rng_q, 0);
	put("READY\n");
	for (n = 0; !host_pressed(); n++) {
		if (n % RESET_EVERY == 0)
			virtio_start(disk, &disk_q, 0);
		round_trip(disk, n);
		virtio_check_works(rng, &rng_q);
	}
	CHECK(n > 0);
	put("ROUNDS ");
	put_hex(n);
	put("\n");
}
