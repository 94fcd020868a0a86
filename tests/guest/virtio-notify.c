/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* Notifications of queues that do not exist, in any width, start and stop nothing. */
#include "lib/virtio.h"

static const uint32_t absent[] = { 1,	   2,	       7,	   8,	       255, 256,
				   0xffff, 0x10000000, 0x80000000, 0xfffffffe, ~0u };

static struct queue q;

static void notify_absent(uint64_t dev)
{
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		write32(dev + REG_QUEUE_NOTIFY, absent[i]);
		write64(dev + REG_QUEUE_NOTIFY, absent[i]);
		if ((uint16_t)absent[i])
			write16(dev + REG_QUEUE_NOTIFY, (uint16_t)absent[i]);
		if ((uint8_t)absent[i])
			write8(dev + REG_QUEUE_NOTIFY, (uint8_t)absent[i]);
	}
}

static void check_state(uint64_t dev, enum virtio_state state)
{
	virtio_enter(dev, state, &q);
	notify_absent(dev);
	write32(dev + REG_QUEUE_NOTIFY, 0);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[state]);
	if (state == STATE_RUNNING)
		virtio_check_works(dev, &q);
}

/* A kick in any width up to four bytes is one; an eight byte one is not needed by anybody. */
static void check_widths(uint64_t dev)
{
	const uint64_t at = dev + REG_QUEUE_NOTIFY;

	virtio_enter(dev, STATE_RUNNING, &q);
	for (unsigned width = 1; width <= 4; width *= 2) {
		const uint64_t start = rdtsc();
		volatile uint16_t *used = &q.used.idx;
		const uint16_t before = *used;

		virtio_check_works(dev, &q); /* leaves a request in the ring to offer again */
		q.avail.ring[q.avail.idx % QUEUE_SIZE] = 0;
		__asm__ volatile("" ::: "memory");
		q.avail.idx++;
		fence();
		if (width == 1)
			write8(at, 0);
		else if (width == 2)
			write16(at, 0);
		else
			write32(at, 0);
		while (*used != (uint16_t)(before + 2))
			CHECK(patient(start));
		q.used_seen++;
	}
}

static void check_device(uint64_t dev)
{
	for (enum virtio_state state = STATE_RESET; state < STATES; state++)
		check_state(dev, state);
	check_widths(dev);
}

void payload(void)
{
	check_device(virtio_find(DEVICE_BLOCK, 0));
	check_device(virtio_find(DEVICE_RNG, 0));
}
