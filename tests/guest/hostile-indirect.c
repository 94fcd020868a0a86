/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Tables inside tables, of no size, of odd sizes, in no memory, and not agreed on. */
#include "lib/hostile.h"

enum { ENTRY = sizeof(struct desc) };

static struct desc table[257] __attribute__((aligned(16)));

static void point_at(uint64_t at, uint32_t len, uint16_t flags)
{
	vq->desc[0] = (struct desc){ at, len, DESC_INDIRECT | flags, 1 };
}

static void good_table(void)
{
	table[0] = (struct desc){ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 };
	table[1] = (struct desc){ (uint64_t)vdata, 512, DESC_NEXT | DESC_WRITE, 2 };
	table[2] = (struct desc){ (uint64_t)&vstatus, 1, DESC_WRITE, 0 };
}

static void attack_with_sizes(void)
{
	static const uint32_t bad[] = {
		0, 1, 15, 17, ENTRY * 3 - 1, 257 * ENTRY, 0x10000000, 0xfffffff0, 0xffffffff
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		point_at((uint64_t)table, bad[i], 0);
		attack(BROKEN, 0);
	}
	/* A table that is cut off before the chain's end. */
	point_at((uint64_t)table, 2 * ENTRY, 0);
	attack(BROKEN, 0);
}

static void attack_with_places(uint64_t end)
{
	const uint64_t bad[] = { end,	     end - ENTRY, end - 1,    VIRTIO_BASE, 0xfee00000,
				 1ull << 40, 1ull << 63,  ~0ull - 15, ~0ull - 47,  ~0ull };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		point_at(bad[i], 3 * ENTRY, 0);
		attack(BROKEN, 0);
	}
}

static void attack_with_nesting(void)
{
	static struct desc inner[3] __attribute__((aligned(16)));

	inner[0] = table[0], inner[1] = table[1], inner[2] = table[2];
	table[0] = (struct desc){ (uint64_t)inner, sizeof(inner), DESC_INDIRECT, 0 };
	point_at((uint64_t)table, ENTRY, 0);
	attack(BROKEN, 0);
	/* A table that is its own, for ever. */
	table[0] = (struct desc){ (uint64_t)table, ENTRY, DESC_INDIRECT, 0 };
	point_at((uint64_t)table, ENTRY, 0);
	attack(BROKEN, 0);
	/* After good entries too. */
	table[0] = (struct desc){ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 };
	table[1] = (struct desc){ (uint64_t)inner, sizeof(inner), DESC_INDIRECT, 0 };
	point_at((uint64_t)table, 2 * ENTRY, 0);
	attack(BROKEN, 0);
	good_table();
	point_at((uint64_t)table, 3 * ENTRY, DESC_NEXT);
	attack(BROKEN, 0);
}

/* What is allowed, beside what is not: odd places, the largest table, the flag WRITE. */
static void good_ones(uint64_t end)
{
	struct desc *last = (struct desc *)(end - sizeof(struct desc[3]));

	point_at((uint64_t)table, 256 * ENTRY, DESC_WRITE);
	attack(ANSWERED, 0);
	CHECK_EQ(vstatus, BLK_OK);
	last[0] = table[0], last[1] = table[1], last[2] = table[2];
	point_at((uint64_t)last, 3 * ENTRY, 0);
	attack(ANSWERED, 0);
	CHECK_EQ(vstatus, BLK_OK);
	/* The header in the ring, the rest in a table. */
	vq->desc[0] = (struct desc){ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 };
	vq->desc[1] = (struct desc){ (uint64_t)&table[1], 2 * ENTRY, DESC_INDIRECT, 0 };
	table[1].next = 1;
	attack(ANSWERED, 0);
	CHECK_EQ(vstatus, BLK_OK);
}

void payload(void)
{
	const uint64_t end = memory_end();

	hostile_begin(FEATURE_INDIRECT_DESC);
	good_table();
	if (victim_has(FEATURE_INDIRECT_DESC)) {
		attack_with_sizes();
		attack_with_places(end);
		attack_with_nesting();
		good_ones(end);
	} else {
		point_at((uint64_t)table, 3 * ENTRY, 0);
		attack(BROKEN, 0);
		table[0] = (struct desc){ (uint64_t)vdata, 64, DESC_WRITE, 0 };
		point_at((uint64_t)table, ENTRY, DESC_WRITE);
		attack(BROKEN, 0);
	}
	hostile_end();
}
