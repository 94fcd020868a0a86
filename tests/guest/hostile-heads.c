/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* One head made available several times over, and chains that share descriptors. */
#include "lib/hostile.h"

/* Offers the heads at once. However the device takes it, it goes on or says so. */
static void attack_heads(unsigned n, const uint16_t *heads)
{
	const uint16_t idx = vq->avail.idx;

	good_chain();
	attack_begin();
	for (unsigned i = 0; i < n; i++)
		vq->avail.ring[(uint16_t)(idx + i) % QUEUE_SIZE] = heads[i];
	__asm__ volatile("" ::: "memory");
	*(volatile uint16_t *)&vq->avail.idx = (uint16_t)(idx + n);
	fence();
	write32(victim + REG_QUEUE_NOTIFY, 0);
	attack_end(EITHER, heads[0]);
}

void payload(void)
{
	static const uint16_t twice[] = { 0, 0 };
	static const uint16_t again[QUEUE_SIZE] = { 0 };
	static const uint16_t tail[] = { 0, 1, 2 };
	static const uint16_t backwards[] = { 2, 1, 0, 2, 1, 0 };
	static const uint16_t beyond[] = { 0, QUEUE_SIZE, 0 };

	hostile_begin(0);
	for (unsigned i = 0; i < 3; i++) {
		attack_heads(2, twice);
		attack_heads(QUEUE_SIZE, again);
		attack_heads(3, tail);
		attack_heads(6, backwards);
		attack_heads(3, beyond);
	}
	hostile_end();
}
