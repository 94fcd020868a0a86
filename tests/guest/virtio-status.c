/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng timeout=60 */
/* Every value written to the status register in every state: one step on, FAILED or reset. */
#include "lib/virtio.h"

static struct queue q;

/* The bit that may come next: virtio 1.2, 3.1.1. */
static uint32_t next_step(uint32_t status)
{
	if (status == virtio_state_bits[STATE_RESET])
		return STATUS_ACKNOWLEDGE;
	if (status == virtio_state_bits[STATE_ACKNOWLEDGED])
		return STATUS_DRIVER;
	if (status == virtio_state_bits[STATE_DRIVER])
		return STATUS_FEATURES_OK;
	if (status == virtio_state_bits[STATE_FEATURES])
		return STATUS_DRIVER_OK;
	return 0;
}

static uint32_t expected(uint32_t status, uint32_t written)
{
	const uint32_t own = status & ~(uint32_t)STATUS_NEEDS_RESET;
	const uint32_t added = written & ~(own | STATUS_NEEDS_RESET);

	if (written == 0)
		return 0;
	if (written & STATUS_FAILED)
		return status | STATUS_FAILED;
	if ((written & own) == own && added != 0 && added == next_step(status))
		return status | added;
	return status;
}

static void check(uint64_t dev, enum virtio_state state, uint32_t written)
{
	uint32_t should = expected(virtio_state_bits[state], written);

	virtio_enter(dev, state, &q);
	write32(dev + REG_STATUS, written);
	CHECK_EQ(read32(dev + REG_STATUS), should);
}

/* DRIVER_OK without a queue that is ready runs nothing and harms nothing. */
static void check_no_queue(uint64_t dev)
{
	virtio_enter(dev, STATE_FEATURES, &q);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_RUNNING]);
	for (unsigned i = 0; i < 16; i++)
		write32(dev + REG_QUEUE_NOTIFY, 0);
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[STATE_RUNNING]);
}

static void check_device(uint64_t dev)
{
	static const uint32_t wide[] = { 0x100, 0x101, 0x103, 0x10b, 0x10f, 0x80000000, ~0u };

	for (enum virtio_state state = STATE_RESET; state < STATES; state++) {
		for (uint32_t written = 0; written < 256; written++)
			check(dev, state, written);
		for (unsigned i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
			check(dev, state, wide[i]);
	}
	check_no_queue(dev);
	virtio_enter(dev, STATE_RUNNING, &q);
	virtio_check_works(dev, &q);
}

void payload(void)
{
	check_device(virtio_find(DEVICE_BLOCK, 0));
	check_device(virtio_find(DEVICE_RNG, 0));
}
