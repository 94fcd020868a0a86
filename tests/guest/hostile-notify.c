/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none timeout=60 */
/* 65,536 notifications: for nothing, for queues that do not exist, and before a reset. */
#include "lib/hostile.h"

enum { KICKS = 65536, REQUEST_EVERY = 4096 };

static void flood(void)
{
	attack_begin();
	for (uint32_t i = 0; i < KICKS; i++) {
		write32(victim + REG_QUEUE_NOTIFY, i % 8 == 7 ? i : 0);
		if (i % REQUEST_EVERY == 0) {
			good_chain();
			virtio_submit(victim, vq, 0);
			(void)virtio_await(vq, 0);
		}
	}
	CHECK(!victim_broke());
	good_chain();
	virtio_submit(victim, vq, 0);
	attack_end(ANSWERED, 0);
}

/* A device that needs a reset, or has just had one, takes kicks and does nothing. */
static void flood_stopped(enum virtio_state state)
{
	attack_begin();
	virtio_enter(victim, state, vq);
	for (uint32_t i = 0; i < KICKS / 16; i++)
		write32(victim + REG_QUEUE_NOTIFY, 0);
	CHECK_EQ(read32(victim + REG_STATUS), virtio_state_bits[state]);
	attack_end(ANY, 0);
}

void payload(void)
{
	hostile_begin(0);
	flood();
	flood_stopped(STATE_RESET);
	flood_stopped(STATE_FEATURES);
	flood_stopped(STATE_BROKEN);
	flood_stopped(STATE_FAILED);
	hostile_end();
}
