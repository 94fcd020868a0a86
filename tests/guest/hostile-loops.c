/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Chains without an end, in the ring and in tables, and links to nowhere. */
#include "lib/hostile.h"

static struct desc table[256] __attribute__((aligned(16)));

static void ring_of(unsigned n, unsigned back_to, uint32_t len, uint16_t flags)
{
	for (unsigned i = 0; i < n; i++)
		vq->desc[i] = (struct desc){ (uint64_t)vdata, len, DESC_NEXT | flags,
					     (uint16_t)(i + 1 < n ? i + 1 : back_to) };
}

static void attack_in_ring(uint32_t len, uint16_t flags)
{
	static const uint8_t lengths[] = { 1, 2, 3, QUEUE_SIZE - 1, QUEUE_SIZE };

	for (unsigned i = 0; i < sizeof(lengths); i++) {
		ring_of(lengths[i], 0, len, flags);
		attack(BROKEN, 0);
	}
	ring_of(QUEUE_SIZE, QUEUE_SIZE / 2, len, flags);
	attack(BROKEN, 0);
	ring_of(QUEUE_SIZE, QUEUE_SIZE - 1, len, flags);
	attack(BROKEN, 3);
}

static void attack_with_links(void)
{
	static const uint16_t nowhere[] = { QUEUE_SIZE, 256, 0x7fff, 0x8000, 0xffff };

	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		const struct desc link = { (uint64_t)vdata, 16, DESC_NEXT, nowhere[i] };

		chain(1, &link);
		attack(BROKEN, 0);
		attack(BROKEN, nowhere[i]);
	}
}

static void attack_in_table(unsigned n, unsigned back_to)
{
	for (unsigned i = 0; i < n; i++)
		table[i] = (struct desc){ (uint64_t)vdata, 2, DESC_NEXT,
					  (uint16_t)(i + 1 < n ? i + 1 : back_to) };
	vq->desc[0] = (struct desc){ (uint64_t)table, n * (uint32_t)sizeof(table[0]), DESC_INDIRECT,
				     0 };
	attack(BROKEN, 0);
}

/* The longest chain that is none of it: every descriptor once. */
static void longest_chain(void)
{
	const uint16_t direction = victim_is_block ? 0 : DESC_WRITE;

	ring_of(QUEUE_SIZE, 0, 1, direction);
	vq->desc[QUEUE_SIZE - 1] = (struct desc){ (uint64_t)&vstatus, 1, DESC_WRITE, 0 };
	attack(ANSWERED, 0);
	if (victim_is_block)
		CHECK_EQ(vstatus, BLK_IOERR); /* 15 bytes are no header */
}

void payload(void)
{
	hostile_begin(FEATURE_INDIRECT_DESC);
	attack_in_ring(16, 0);
	attack_in_ring(16, DESC_WRITE);
	attack_in_ring(0, 0);
	attack_with_links();
	longest_chain();
	if (victim_has(FEATURE_INDIRECT_DESC)) {
		attack_in_table(1, 0);
		attack_in_table(2, 0);
		attack_in_table(256, 0);
		attack_in_table(256, 255);
		attack_in_table(4, 4);
		attack_in_table(4, 0xffff);
	}
	hostile_end();
}
