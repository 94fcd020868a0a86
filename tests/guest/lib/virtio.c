/* SPDX-License-Identifier: Apache-2.0 */
/* The driver side of virtio-mmio. */
#include "virtio.h"

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} blk_header __attribute__((aligned(16)));
static uint8_t blk_status;

uint64_t virtio_find(uint32_t device_id, unsigned n)
{
	for (unsigned slot = 0; slot < VIRTIO_SLOTS; slot++) {
		const uint64_t dev = VIRTIO_BASE + slot * (uint64_t)VIRTIO_STRIDE;

		if (read32(dev + REG_MAGIC) == VIRTIO_MAGIC &&
		    read32(dev + REG_DEVICE_ID) == device_id && n-- == 0)
			return dev;
	}
	fail(__FILE__, __LINE__, "no such virtio device");
}

uint64_t virtio_features(uint64_t dev)
{
	uint64_t low;

	write32(dev + REG_DEVICE_FEATURES_SEL, 0);
	low = read32(dev + REG_DEVICE_FEATURES);
	write32(dev + REG_DEVICE_FEATURES_SEL, 1);
	return (uint64_t)read32(dev + REG_DEVICE_FEATURES) << 32 | low;
}

void virtio_accept(uint64_t dev, uint64_t features)
{
	write32(dev + REG_DRIVER_FEATURES_SEL, 0);
	write32(dev + REG_DRIVER_FEATURES, (uint32_t)features);
	write32(dev + REG_DRIVER_FEATURES_SEL, 1);
	write32(dev + REG_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

void virtio_negotiate(uint64_t dev, uint64_t features)
{
	write32(dev + REG_STATUS, 0);
	CHECK_EQ(read32(dev + REG_STATUS), 0);
	write32(dev + REG_STATUS, STATUS_ACKNOWLEDGE);
	write32(dev + REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	features |= FEATURE_VERSION_1;
	CHECK_EQ(virtio_features(dev) & features, features);
	virtio_accept(dev, features);
	write32(dev + REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	CHECK_EQ(read32(dev + REG_STATUS), STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
}

static void write_address(uint64_t reg, uint64_t address)
{
	write32(reg, (uint32_t)address);
	write32(reg + 4, (uint32_t)(address >> 32));
}

struct place queue_place(const struct queue *q)
{
	return (struct place){ QUEUE_SIZE, (uint64_t)q->desc, (uint64_t)&q->avail,
			       (uint64_t)&q->used };
}

void virtio_place_queue(uint64_t dev, unsigned index, const struct place *place)
{
	write32(dev + REG_QUEUE_SEL, index);
	write32(dev + REG_QUEUE_NUM, place->size);
	write_address(dev + REG_QUEUE_DESC, place->desc);
	write_address(dev + REG_QUEUE_DRIVER, place->driver);
	write_address(dev + REG_QUEUE_DEVICE, place->device);
}

void virtio_set_queue(uint64_t dev, unsigned index, struct queue *q)
{
	const struct place place = queue_place(q);

	fill(q, 0, sizeof(*q));
	virtio_place_queue(dev, index, &place);
	CHECK(read32(dev + REG_QUEUE_NUM_MAX) >= QUEUE_SIZE);
	write32(dev + REG_QUEUE_READY, 1);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), 1);
}

void virtio_start(uint64_t dev, struct queue *q, uint64_t features)
{
	virtio_negotiate(dev, features);
	virtio_set_queue(dev, 0, q);
	write32(dev + REG_STATUS,
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	CHECK_EQ(read32(dev + REG_STATUS),
		 STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

const uint32_t virtio_state_bits[STATES] = {
	[STATE_ACKNOWLEDGED] = STATUS_ACKNOWLEDGE,
	[STATE_DRIVER] = STATUS_ACKNOWLEDGE | STATUS_DRIVER,
	[STATE_FEATURES] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK,
	[STATE_RUNNING] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
			  STATUS_DRIVER_OK,
	[STATE_BROKEN] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
			 STATUS_DRIVER_OK | STATUS_NEEDS_RESET,
	[STATE_FAILED] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED,
};

void virtio_enter(uint64_t dev, enum virtio_state state, struct queue *q)
{
	write32(dev + REG_STATUS, 0);
	if (state >= STATE_ACKNOWLEDGED)
		write32(dev + REG_STATUS, virtio_state_bits[STATE_ACKNOWLEDGED]);
	if (state >= STATE_DRIVER) {
		write32(dev + REG_STATUS, virtio_state_bits[STATE_DRIVER]);
		virtio_accept(dev, FEATURE_VERSION_1);
	}
	if (state == STATE_FAILED)
		write32(dev + REG_STATUS, virtio_state_bits[STATE_FAILED]);
	else if (state >= STATE_FEATURES)
		write32(dev + REG_STATUS, virtio_state_bits[STATE_FEATURES]);
	if (state == STATE_RUNNING || state == STATE_BROKEN) {
		virtio_set_queue(dev, 0, q);
		write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	}
	if (state == STATE_BROKEN) {
		virtio_submit(dev, q, QUEUE_SIZE); /* no such descriptor */
		virtio_await_status(dev, STATUS_NEEDS_RESET);
	}
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[state]);
}

void virtio_submit(uint64_t dev, struct queue *q, uint16_t head)
{
	volatile uint16_t *idx = &q->avail.idx;

	q->avail.ring[*idx % QUEUE_SIZE] = head;
	/* The entry before the index that offers it; x86 keeps stores in order. */
	__asm__ volatile("" ::: "memory");
	*idx = (uint16_t)(*idx + 1);
	fence();
	write32(dev + REG_QUEUE_NOTIFY, 0);
}

uint32_t virtio_await(struct queue *q, uint16_t head)
{
	volatile uint16_t *idx = &q->used.idx;
	const uint64_t start = rdtsc();
	unsigned slot = q->used_seen % QUEUE_SIZE;

	while (*idx == q->used_seen)
		CHECK(patient(start));
	__asm__ volatile("" ::: "memory");
	CHECK_EQ(q->used.ring[slot].id, head);
	q->used_seen++;
	return q->used.ring[slot].len;
}

void virtio_await_status(uint64_t dev, uint32_t bits)
{
	const uint64_t start = rdtsc();

	while ((read32(dev + REG_STATUS) & bits) != bits)
		CHECK(patient(start));
}

uint8_t blk_request(uint64_t dev, struct queue *q, uint32_t type, uint64_t sector, void *data,
		    uint32_t len)
{
	const uint16_t data_flags = type == BLK_OUT ? DESC_NEXT : DESC_NEXT | DESC_WRITE;

	blk_header.type = type;
	blk_header.sector = sector;
	blk_status = 0xff;
	q->desc[0] = (struct desc){ (uint64_t)&blk_header, sizeof(blk_header), DESC_NEXT,
				    len ? 1 : 2 };
	q->desc[1] = (struct desc){ (uint64_t)data, len, data_flags, 2 };
	q->desc[2] = (struct desc){ (uint64_t)&blk_status, 1, DESC_WRITE, 0 };
	virtio_submit(dev, q, 0);
	virtio_await(q, 0);
	return *(volatile uint8_t *)&blk_status;
}

void virtio_check_works(uint64_t dev, struct queue *q)
{
	static uint8_t sector[512];

	if (read32(dev + REG_DEVICE_ID) == DEVICE_BLOCK) {
		fill(sector, 0, 4);
		CHECK_EQ(blk_request(dev, q, BLK_IN, 5, sector, sizeof(sector)), BLK_OK);
		CHECK_EQ(read32((uint64_t)sector), 5);
		return;
	}
	q->desc[0] = (struct desc){ (uint64_t)sector, 64, DESC_WRITE, 0 };
	virtio_submit(dev, q, 0);
	CHECK_EQ(virtio_await(q, 0), 64);
}
