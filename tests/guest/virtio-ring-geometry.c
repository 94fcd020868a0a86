/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* Rings of a bad size, alignment or place stop the device at DRIVER_OK, and no other. */
#include "lib/virtio.h"

static struct queue q, rng_q;

static uint32_t start_with(uint64_t dev, const struct place *place)
{
	virtio_enter(dev, STATE_FEATURES, NULL);
	virtio_place_queue(dev, 0, place);
	write32(dev + REG_QUEUE_READY, 1);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	return read32(dev + REG_STATUS);
}

static void check_refused(uint64_t dev, struct place place)
{
	CHECK_EQ(start_with(dev, &place), virtio_state_bits[STATE_BROKEN]);
	CHECK(read32(dev + REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG);
	write32(dev + REG_QUEUE_NOTIFY, 0);
	/* A second try without a reset changes nothing. */
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_BROKEN]);
}

static void check_sizes(uint64_t dev)
{
	static const uint32_t bad[] = { 0, 3, 5, 255, 257, 512, 32768, 65535, 65536, 65552, ~0u };
	struct place place = queue_place(&q);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		place.size = bad[i];
		check_refused(dev, place);
	}
	for (place.size = 1; place.size <= 256; place.size *= 2)
		CHECK_EQ(start_with(dev, &place), virtio_state_bits[STATE_RUNNING]);
}

static void check_place(uint64_t dev, uint64_t at)
{
	struct place place = queue_place(&q);

	place.desc = at;
	check_refused(dev, place);
	place = queue_place(&q);
	place.driver = at;
	check_refused(dev, place);
	place = queue_place(&q);
	place.device = at;
	check_refused(dev, place);
}

static void check_alignment(uint64_t dev)
{
	struct place place = queue_place(&q);

	place.desc += 8;
	check_refused(dev, place);
	place = queue_place(&q);
	place.driver += 1;
	check_refused(dev, place);
	place = queue_place(&q);
	place.device += 2;
	check_refused(dev, place);
}

/* The end of memory from both sides, for each of the three parts. */
static void check_end(uint64_t dev, uint64_t end)
{
	const uint64_t desc = end - sizeof(q.desc);
	const uint64_t driver = end - (2 * (2 + QUEUE_SIZE + 1));
	/* Aligned to 4, so the last two bytes of memory stay free. */
	const uint64_t device = end - (4 + 8 * QUEUE_SIZE + 4);
	struct place place = queue_place(&q);

	place.desc = desc;
	CHECK_EQ(start_with(dev, &place), virtio_state_bits[STATE_RUNNING]);
	place.desc = desc + 16;
	check_refused(dev, place);
	place = queue_place(&q);
	place.driver = driver;
	CHECK_EQ(start_with(dev, &place), virtio_state_bits[STATE_RUNNING]);
	place.driver = driver + 2;
	check_refused(dev, place);
	place = queue_place(&q);
	place.device = device;
	CHECK_EQ(start_with(dev, &place), virtio_state_bits[STATE_RUNNING]);
	place.device = device + 4;
	check_refused(dev, place);
}

static void check_device(uint64_t dev, uint64_t end)
{
	check_sizes(dev);
	check_alignment(dev);
	check_end(dev, end);
	check_place(dev, end);
	check_place(dev, VIRTIO_BASE);
	check_place(dev, 0xfee00000);
	check_place(dev, 1ull << 40);
	check_place(dev, 1ull << 63);
	check_place(dev, ~0ull - 15);
	virtio_enter(dev, STATE_RUNNING, &q);
	virtio_check_works(dev, &q);
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);
	const uint64_t end = memory_end();

	virtio_start(rng, &rng_q, 0);
	check_device(blk, end);
	virtio_check_works(rng, &rng_q);
	check_device(rng, end);
}
