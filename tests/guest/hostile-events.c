/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none timeout=120 */
/* Interrupt suppression: 65,536 polled completions and then one that must interrupt. */
#include "lib/hostile.h"

enum { ROUND = 65536, NO_INTERRUPT = 1 };

/* As many heads as the ring has; for disks they share what comes after the header. */
static void prepare(void)
{
	static uint8_t answer[513];

	for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
		vq->avail.ring[i] = i;
		if (victim_is_block)
			vq->desc[i] = (struct desc){ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT,
						     QUEUE_SIZE - 1 };
		else
			vq->desc[i] = (struct desc){ (uint64_t)vdata, 1, DESC_WRITE, 0 };
	}
	/* By itself a request without a header: answered as well. */
	if (victim_is_block)
		vq->desc[QUEUE_SIZE - 1] = (struct desc){ (uint64_t)answer, sizeof(answer),
							  DESC_WRITE, 0 };
}

/* Completes n requests by polling. */
static void poll(unsigned n)
{
	volatile uint16_t *used = &vq->used.idx;

	while (n > 0) {
		const uint16_t step = n < QUEUE_SIZE ? (uint16_t)n : QUEUE_SIZE;
		const uint16_t idx = (uint16_t)(vq->avail.idx + step);
		const uint64_t start = rdtsc();

		*(volatile uint16_t *)&vq->avail.idx = idx;
		fence();
		write32(victim + REG_QUEUE_NOTIFY, 0);
		while (*used != idx)
			CHECK(patient(start));
		n -= step;
	}
}

static bool interrupted(void)
{
	uint32_t status;

	/* The bit is set after the index: a reset register access comes behind both. */
	for (unsigned i = 0; i < 20; i++)
		(void)read32(victim + REG_STATUS);
	status = read32(victim + REG_INTERRUPT_STATUS);
	write32(victim + REG_INTERRUPT_ACK, status);
	CHECK_EQ(read32(victim + REG_INTERRUPT_STATUS), 0);
	CHECK_EQ(status & ~(uint32_t)INTERRUPT_RING, 0);
	return status != 0;
}

/* The interrupt comes when the next request is completed, and not for one before. */
static void arm_and_check(void)
{
	(void)interrupted();
	vq->avail.used_event = (uint16_t)(vq->used.idx + 1);
	fence();
	poll(1);
	CHECK(!interrupted());
	poll(1);
	CHECK(interrupted());
	poll(1);
	CHECK(!interrupted());
}

static void play_events(void)
{
	static const uint16_t games[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff };

	attack_begin();
	prepare();
	arm_and_check();
	/* Polled around the whole index and a little more; then the driver sleeps again. */
	vq->avail.used_event = (uint16_t)(vq->used.idx - 1);
	poll(ROUND);
	arm_and_check();
	vq->avail.used_event = (uint16_t)(vq->used.idx - 1);
	poll(ROUND / 2 + 3);
	arm_and_check();
	for (unsigned i = 0; i < sizeof(games) / sizeof(games[0]); i++)
		for (unsigned k = 0; k < 8; k++) {
			vq->avail.used_event = (uint16_t)(vq->used.idx + games[i] + k);
			vq->avail.flags = (uint16_t)(k % 2 ? ~0u : 0);
			poll(1 + k * 2);
		}
	arm_and_check(); /* flags mean nothing with events */
	attack_end(ANY, 0);
}

/* Without events: a flag, read at every publication. */
static void play_flags(void)
{
	attack_begin();
	prepare();
	for (unsigned i = 0; i < 8; i++) {
		(void)interrupted();
		vq->avail.flags = NO_INTERRUPT;
		fence();
		poll(1);
		CHECK(!interrupted());
		vq->avail.flags = 0;
		fence();
		poll(1);
		CHECK(interrupted());
	}
	vq->avail.flags = NO_INTERRUPT;
	poll(ROUND);
	vq->avail.flags = 0;
	fence();
	poll(1);
	CHECK(interrupted());
	attack_end(ANY, 0);
}

void payload(void)
{
	hostile_begin(FEATURE_EVENT_IDX);
	if (victim_has(FEATURE_EVENT_IDX))
		play_events();
	else
		play_flags();
	hostile_end();
}
