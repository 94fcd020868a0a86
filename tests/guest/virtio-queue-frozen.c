/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* Queue registers count between FEATURES_OK and DRIVER_OK, while the queue is not ready. */
#include "lib/virtio.h"

static struct queue q, other;

static const struct place bad[] = {
	{ 0, 0, 0, 0 },
	{ 3, 1, 1, 1 },
	{ 32768, VIRTIO_BASE, VIRTIO_BASE, VIRTIO_BASE },
	{ 65536, 1ull << 40, 1ull << 40, 1ull << 40 },
	{ ~0u, ~0ull, ~0ull, ~0ull },
};
enum { BAD = sizeof(bad) / sizeof(bad[0]) };

static void check_too_early(uint64_t dev)
{
	const struct place place = queue_place(&q);

	for (enum virtio_state state = STATE_RESET; state < STATE_FEATURES; state++) {
		virtio_enter(dev, state, NULL);
		virtio_place_queue(dev, 0, &place);
		write32(dev + REG_QUEUE_READY, 1);
		CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
	}
}

/* Everything about the queue is written anew in the state; the old rings go on. */
static void check_late(uint64_t dev, const struct place *place)
{
	virtio_enter(dev, STATE_FEATURES, NULL);
	virtio_set_queue(dev, 0, &q);
	virtio_place_queue(dev, 0, place); /* ready, not yet running */
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 1);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_RUNNING]);
	for (unsigned i = 0; i < 20; i++) {
		virtio_place_queue(dev, 0, place);
		write32(dev + REG_QUEUE_READY, i % 2);
		CHECK_EQ(read32(dev + REG_QUEUE_READY), 1);
		virtio_check_works(dev, &q);
	}
}

static void check_stopped(uint64_t dev, enum virtio_state state)
{
	const uint32_t ready = state == STATE_BROKEN;

	virtio_enter(dev, state, &q);
	for (unsigned i = 0; i < BAD; i++)
		virtio_place_queue(dev, 0, &bad[i]);
	write32(dev + REG_QUEUE_READY, !ready);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), ready);
	write32(dev + REG_QUEUE_NOTIFY, 0);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[state]);
}

/* QueueReady 0 before DRIVER_OK takes the queue back, and it can be placed again. */
static void check_taken_back(uint64_t dev)
{
	const struct place place = queue_place(&other);

	virtio_enter(dev, STATE_FEATURES, NULL);
	virtio_set_queue(dev, 0, &q);
	write32(dev + REG_QUEUE_READY, 0);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 0);
	fill(&other, 0, sizeof(other));
	virtio_place_queue(dev, 0, &place);
	write32(dev + REG_QUEUE_READY, 1);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	virtio_check_works(dev, &other);
	CHECK_EQ(q.used.idx, 0);
}

static void check_device(uint64_t dev)
{
	struct place place;

	check_too_early(dev);
	fill(&other, 0, sizeof(other));
	place = queue_place(&other);
	check_late(dev, &place);
	CHECK_EQ(other.used.idx, 0);
	for (unsigned i = 0; i < BAD; i++)
		check_late(dev, &bad[i]);
	check_stopped(dev, STATE_BROKEN);
	check_stopped(dev, STATE_FAILED);
	check_taken_back(dev);
	virtio_enter(dev, STATE_RUNNING, &q);
	virtio_check_works(dev, &q);
}

void payload(void)
{
	check_device(virtio_find(DEVICE_BLOCK, 0));
	check_device(virtio_find(DEVICE_RNG, 0));
}
