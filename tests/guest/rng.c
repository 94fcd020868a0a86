/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=rng devices=rng */
/* Random bytes fill the buffer and only the buffer; two requests differ. */
#include "lib/virtio.h"

enum { LEN = 256 };

static struct queue q;
static uint8_t first[LEN + 1], second[LEN + 1];

static void request(uint64_t dev, uint8_t *buffer)
{
	fill(buffer, 0, LEN + 1);
	q.desc[0] = (struct desc){ (uint64_t)buffer, LEN, DESC_WRITE, 0 };
	virtio_submit(dev, &q, 0);
	CHECK_EQ(virtio_await(&q, 0), LEN);
	CHECK_EQ(buffer[LEN], 0);
}

void payload(void)
{
	const uint64_t dev = virtio_find(DEVICE_RNG, 0);
	unsigned zeroes = 0;

	virtio_start(dev, &q, 0);
	request(dev, first);
	request(dev, second);
	for (unsigned i = 0; i < LEN; i++)
		zeroes += first[i] == 0;
	CHECK(zeroes < LEN / 8);
	CHECK(!equal(first, second, LEN));
}
