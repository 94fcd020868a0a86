/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Lengths of nothing, of a byte too few, and of more than 4 GiB in total. */
#include "lib/hostile.h"

enum { CHUNK = 64 << 20, ENTROPY_MAX = 65536 };

static struct desc table[80] __attribute__((aligned(16)));

static uint8_t ask(unsigned n, const struct desc *desc)
{
	chain(n, desc);
	attack(ANSWERED, 0);
	return vstatus;
}

static void attack_headers(void)
{
	const uint64_t h = (uint64_t)&blk_in, d = (uint64_t)vdata, s = (uint64_t)&vstatus;
	struct desc c[] = {
		{ h, 0, DESC_NEXT, 1 },
		{ d, 512, DESC_NEXT | DESC_WRITE, 2 },
		{ s, 1, DESC_WRITE, 0 },
	};
	const struct desc split[] = {
		{ h, 8, DESC_NEXT, 1 },
		{ ~0ull, 0, DESC_NEXT, 2 },
		{ h + 8, 8, DESC_NEXT, 3 },
		{ d, 0, DESC_NEXT | DESC_WRITE, 4 },
		{ d, 512, DESC_NEXT | DESC_WRITE, 5 },
		{ s, 1, DESC_WRITE, 0 },
	};

	CHECK_EQ(ask(3, c), BLK_IOERR);
	c[0].len = 15;
	CHECK_EQ(ask(3, c), BLK_IOERR);
	c[0].len = 17;
	CHECK_EQ(ask(3, c), BLK_IOERR);
	CHECK_EQ(ask(6, split), BLK_OK);
	CHECK_EQ(read32(d), 5);
}

static void attack_data(void)
{
	static const uint32_t odd[] = { 1, 511, 513, 1023 };
	struct desc c[] = {
		{ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 },
		{ (uint64_t)vdata, 0, DESC_NEXT | DESC_WRITE, 2 },
		{ (uint64_t)&vstatus, 1, DESC_WRITE, 0 },
	};

	CHECK_EQ(ask(3, c), BLK_OK); /* no sector at all is a whole number of them */
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		c[1].len = odd[i];
		CHECK_EQ(ask(3, c), BLK_IOERR);
	}
	/* A status of no length: the byte before it is the last. */
	c[1].len = 512;
	c[2].len = 0;
	vdata[511] = 0xff;
	CHECK_EQ(ask(3, c), 0xff);
	CHECK_EQ(vdata[511], BLK_IOERR);
}

static void attack_nothing(void)
{
	const struct desc nothing[] = {
		{ (uint64_t)vdata, 0, DESC_NEXT | DESC_WRITE, 1 },
		{ ~0ull, 0, DESC_WRITE, 0 },
	};

	chain(2, nothing);
	attack(BROKEN, 0);
	vq->desc[0] = (struct desc){ (uint64_t)vdata, 0, 0, 0 };
	attack(BROKEN, 0);
}

/* Each piece is memory; the whole is just below and just at what a chain may be. */
static void attack_total(unsigned pieces, enum outcome outcome)
{
	const unsigned last = pieces + 1;

	table[0] = (struct desc){ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 };
	for (unsigned i = 1; i < last; i++)
		table[i] = (struct desc){ 0, CHUNK, DESC_NEXT | DESC_WRITE, (uint16_t)(i + 1) };
	table[last] = (struct desc){ (uint64_t)&vstatus, 1, DESC_WRITE, 0 };
	vq->desc[0] = (struct desc){ (uint64_t)table, (last + 1) * (uint32_t)sizeof(table[0]),
				     DESC_INDIRECT, 0 };
	attack(outcome, 0);
	if (outcome == ANSWERED)
		CHECK_EQ(vstatus, BLK_IOERR); /* more than the disk has */
}

/* A request of most of memory many times over gets its 64 KiB and no more. */
static void attack_entropy(void)
{
	const uint64_t at = memory_end() - CHUNK;

	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		vq->desc[i] = (struct desc){ at, CHUNK, DESC_WRITE | DESC_NEXT, (uint16_t)(i + 1) };
	vq->desc[QUEUE_SIZE - 1].flags = DESC_WRITE;
	write64(at + ENTROPY_MAX, 0x5a5a5a5a5a5a5a5a);
	CHECK_EQ(attack(ANSWERED, 0), ENTROPY_MAX);
	CHECK_EQ(read64(at + ENTROPY_MAX), 0x5a5a5a5a5a5a5a5a);
	/* Nothing before something is something. */
	vq->desc[0] = (struct desc){ ~0ull, 0, DESC_WRITE | DESC_NEXT, 1 };
	vq->desc[1] = (struct desc){ (uint64_t)vdata, 7, DESC_WRITE, 0 };
	CHECK_EQ(attack(ANSWERED, 0), 7);
}

void payload(void)
{
	hostile_begin(FEATURE_INDIRECT_DESC);
	attack_nothing();
	if (victim_is_block) {
		attack_headers();
		attack_data();
		attack_total(63, ANSWERED);
		attack_total(64, BROKEN);
	} else {
		attack_entropy();
	}
	hostile_end();
}
