/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* The available index jumps: ahead by more than the ring holds, and back. */
#include "lib/hostile.h"

static void attack_jump(uint16_t by)
{
	good_chain();
	attack_begin();
	*(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx + by);
	fence();
	write32(victim + REG_QUEUE_NOTIFY, 0);
	attack_end(BROKEN, 0);
}

/* Back by one while a request is under way: the device may have taken it or not. */
static void attack_back(void)
{
	good_chain();
	attack_begin();
	virtio_submit(victim, vq, 0);
	*(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx - 1);
	fence();
	write32(victim + REG_QUEUE_NOTIFY, 0);
	attack_end(ANY, 0);
}

/* As much as the ring holds is no fault. */
static void full_ring(void)
{
	const uint64_t start = rdtsc();
	volatile uint16_t *used = &vq->used.idx;
	const uint16_t before = *used;

	for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
		vq->avail.ring[i] = i;
		vq->desc[i] = (struct desc){ (uint64_t)vdata, 1, DESC_WRITE, 0 };
	}
	attack_begin();
	*(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx + QUEUE_SIZE);
	fence();
	write32(victim + REG_QUEUE_NOTIFY, 0);
	while (*used != (uint16_t)(before + QUEUE_SIZE))
		CHECK(patient(start) && !victim_broke());
	attack_end(ANY, 0);
}

void payload(void)
{
	static const uint16_t jumps[] = { QUEUE_SIZE + 1, QUEUE_SIZE * 2, 256,	  257,
					  0x7fff,	  0x8000,	  0x8001, 0xffff };

	hostile_begin(0);
	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++)
		attack_jump(jumps[i]);
	for (unsigned i = 0; i < 4; i++)
		attack_back();
	full_ring();
	hostile_end();
}
