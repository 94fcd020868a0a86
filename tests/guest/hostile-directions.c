/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Buffers of the wrong direction or in the wrong order, and requests of unknown kinds. */
#include "lib/hostile.h"

enum { BLK_SCSI = 2, BLK_DISCARD = 11, BLK_WRITE_ZEROES = 13 };
enum { R = 0, W = DESC_WRITE };

/* Header, data and status in the directions given. */
static void three(uint16_t header, uint16_t data, uint16_t status)
{
	const struct desc c[] = {
		{ (uint64_t)&blk_in, sizeof(blk_in), (uint16_t)(header | DESC_NEXT), 1 },
		{ (uint64_t)vdata, 512, (uint16_t)(data | DESC_NEXT), 2 },
		{ (uint64_t)&vstatus, 1, status, 0 },
	};

	chain(3, c);
}

static void attack_answered(uint32_t type, uint16_t header, uint16_t data, uint8_t status)
{
	blk_in.type = type;
	three(header, data, W);
	attack(ANSWERED, 0);
	CHECK_EQ(vstatus, status);
}

static void attack_block(void)
{
	static const uint32_t unknown[] = {
		1 | 2, BLK_SCSI, BLK_DISCARD, BLK_WRITE_ZEROES, 99, ~0u
	};

	attack_answered(BLK_IN, W, W, BLK_IOERR);
	attack_answered(BLK_IN, R, R, BLK_IOERR);
	attack_answered(BLK_OUT, R, W, BLK_IOERR);
	attack_answered(BLK_FLUSH, R, W, BLK_IOERR);
	attack_answered(BLK_GET_ID, R, R, BLK_IOERR);
	attack_answered(BLK_GET_ID, R, W, BLK_OK);
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		attack_answered(unknown[i], R, W, BLK_UNSUPP);
		attack_answered(unknown[i], R, R, BLK_UNSUPP);
	}
	/* A serial number of 20 bytes does not fit into 19. */
	blk_in.type = BLK_GET_ID;
	three(R, W, W);
	vq->desc[1].len = 19;
	attack(ANSWERED, 0);
	CHECK_EQ(vstatus, BLK_IOERR);
	/* Nothing that is wrong was written to the disk: revive() reads it. */
}

static void attack_any(void)
{
	static const uint8_t order[][3] = {
		{ R, R, R }, { R, W, R }, { W, R, W }, { W, R, R }, { W, W, R }
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		three(order[i][0], order[i][1], order[i][2]);
		attack(BROKEN, 0);
	}
}

static void attack_entropy(void)
{
	three(R, W, W);
	attack(BROKEN, 0);
	vq->desc[0] = (struct desc){ (uint64_t)vdata, 1, 0, 0 };
	attack(BROKEN, 0);
	three(W, W, W);
	CHECK_EQ(attack(ANSWERED, 0), sizeof(blk_in) + 512 + 1);
	vq->desc[0] = (struct desc){ (uint64_t)vdata, 1, DESC_WRITE | 0xfff8, 0 };
	CHECK_EQ(attack(ANSWERED, 0), 1); /* flags that nobody knows */
}

void payload(void)
{
	hostile_begin(0);
	attack_any();
	if (victim_is_block)
		attack_block();
	else
		attack_entropy();
	hostile_end();
}
