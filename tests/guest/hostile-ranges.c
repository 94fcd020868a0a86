/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none timeout=60 */
/* Buffers that leave memory at its end, lie in devices' windows or wrap around zero. */
#include "lib/hostile.h"

enum { LAPIC = 0xfee00000, IOAPIC = 0xfec00000, BOOT_TIMER = 0xc0000000 };

static void check_untouched(void)
{
	for (unsigned i = 0; i < 512; i += 64)
		CHECK_EQ(vdata[i], 0x5a);
}

/* As the first buffer, and after good ones that must stay as they were. */
static void attack_range(uint64_t at, uint32_t len)
{
	const struct desc good[] = {
		{ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 },
		{ (uint64_t)vdata, 512, DESC_NEXT | DESC_WRITE, 2 },
		{ at, len, DESC_NEXT | DESC_WRITE, 3 },
		{ (uint64_t)&vstatus, 1, DESC_WRITE, 0 },
	};
	const struct desc first = { at, len, DESC_NEXT, 1 };

	fill(vdata, 0x5a, 512);
	chain(4, good);
	attack(BROKEN, victim_is_block ? 0 : 1);
	check_untouched();
	chain(1, &first);
	attack(BROKEN, 0);
	vq->desc[0] = (struct desc){ at, len, DESC_WRITE, 0 };
	attack(BROKEN, 0);
}

static void accept_range(uint64_t at, uint32_t len)
{
	good_chain();
	vq->desc[victim_is_block ? 1 : 0].addr = at;
	vq->desc[victim_is_block ? 1 : 0].len = len;
	attack(ANSWERED, 0);
	if (victim_is_block) {
		CHECK_EQ(vstatus, BLK_OK);
		CHECK_EQ(read32(at), 5);
	}
}

void payload(void)
{
	const uint64_t end = memory_end();

	hostile_begin(0);
	attack_range(end, 1);
	attack_range(end - 1, 2);
	attack_range(end - 511, 512);
	attack_range(end - 4096, 0xffffffff);
	attack_range(0, 0xffffffff);
	attack_range(0x1000, 0xfffff000);
	attack_range(VIRTIO_BASE, 16);
	attack_range(victim + REG_QUEUE_NOTIFY, 4);
	attack_range(LAPIC, 4);
	attack_range(IOAPIC, 4);
	attack_range(BOOT_TIMER, 1);
	attack_range(BOOT_TIMER - 1, 2);
	attack_range(1ull << 32, 512);
	attack_range(1ull << 40, 512);
	attack_range(1ull << 63, 1);
	attack_range(~0ull, 1);
	attack_range(~0ull - 7, 16);
	attack_range(~0ull - 511, 0xffffffff);
	accept_range(end - 512, 512);
	accept_range(0, 512);
	hostile_end();
}
