/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Buffers that are the rings themselves: the device writes over what it works by. */
#include "lib/hostile.h"

static void attack_into(void *at, uint32_t len)
{
	good_chain();
	vq->desc[victim_is_block ? 1 : 0].addr = (uint64_t)at;
	vq->desc[victim_is_block ? 1 : 0].len = len;
	attack(EITHER, 0);
}

/* The last byte of a request, a disk's status, into the middle of an index. */
static void attack_status(void *at)
{
	good_chain();
	if (victim_is_block)
		vq->desc[2].addr = (uint64_t)at;
	else
		vq->desc[0] = (struct desc){ (uint64_t)at, 1, DESC_WRITE, 0 };
	attack_begin();
	virtio_submit(victim, vq, 0);
	for (unsigned i = 0; i < 30; i++)
		(void)read32(victim + REG_STATUS);
	attack_end(ANY, 0);
}

void payload(void)
{
	hostile_begin(FEATURE_EVENT_IDX);
	for (unsigned i = 0; i < 3; i++) {
		attack_into(vq->desc, 512); /* and what lies behind the table */
		attack_into(&vq->avail, 512);
		attack_into(&vq->used, 512);
		attack_status(&vq->avail.idx);
		attack_status((uint8_t *)&vq->avail.idx + 1);
		attack_status(&vq->used.idx);
		attack_status((uint8_t *)&vq->used.idx + 1);
		attack_status(&vq->desc[0].next);
		attack_status(&vq->avail.ring[0]);
	}
	hostile_end();
}
