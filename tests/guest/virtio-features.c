/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng */
/* Features are masked by those offered, and frozen by FEATURES_OK. */
#include "lib/virtio.h"

static struct queue q;
static uint8_t data[512];

static uint32_t confirm(uint64_t dev)
{
	write32(dev + REG_STATUS, virtio_state_bits[STATE_FEATURES]);
	return read32(dev + REG_STATUS);
}

static void check_version_1_is_needed(uint64_t dev)
{
	virtio_enter(dev, STATE_DRIVER, NULL);
	virtio_accept(dev, 0);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_DRIVER]);
	virtio_accept(dev, virtio_features(dev) & ~FEATURE_VERSION_1);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_DRIVER]);
	virtio_accept(dev, FEATURE_VERSION_1);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_FEATURES]);
	/* Nothing of it is left after a reset. */
	write32(dev + REG_STATUS, 0);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_ACKNOWLEDGED]);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_DRIVER]);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_DRIVER]);
}

static void check_too_early(uint64_t dev)
{
	for (enum virtio_state state = STATE_RESET; state <= STATE_ACKNOWLEDGED; state++) {
		virtio_enter(dev, state, NULL);
		virtio_accept(dev, FEATURE_VERSION_1);
		write32(dev + REG_STATUS, virtio_state_bits[STATE_ACKNOWLEDGED]);
		write32(dev + REG_STATUS, virtio_state_bits[STATE_DRIVER]);
		CHECK_EQ(confirm(dev), virtio_state_bits[STATE_DRIVER]);
	}
}

static void check_words_that_do_not_exist(uint64_t dev)
{
	static const uint32_t words[] = { 2, 3, 32, 0x80000000, 0x80000001, ~0u };

	virtio_enter(dev, STATE_DRIVER, NULL);
	virtio_accept(dev, 0);
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		write32(dev + REG_DEVICE_FEATURES_SEL, words[i]);
		CHECK_EQ(read32(dev + REG_DEVICE_FEATURES), 0);
		write32(dev + REG_DRIVER_FEATURES_SEL, words[i]);
		write32(dev + REG_DRIVER_FEATURES, ~0u);
		CHECK_EQ(confirm(dev), virtio_state_bits[STATE_DRIVER]);
	}
}

/* Offered or not, the device runs with what both know. */
static void check_all_bits(uint64_t dev)
{
	virtio_enter(dev, STATE_DRIVER, NULL);
	virtio_accept(dev, ~0ull);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_FEATURES]);
	virtio_set_queue(dev, 0, &q);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	virtio_check_works(dev, &q);
}

/* An indirect request; whether the device took it for one. */
static bool understands_indirect(uint64_t dev)
{
	static struct desc table[1] __attribute__((aligned(16)));
	const uint64_t start = rdtsc();

	table[0] = (struct desc){ (uint64_t)data, 64, DESC_WRITE, 0 };
	q.desc[0] = (struct desc){ (uint64_t)table, sizeof(table), DESC_INDIRECT, 0 };
	virtio_submit(dev, &q, 0);
	while (!(read32(dev + REG_STATUS) & STATUS_NEEDS_RESET)) {
		if (*(volatile uint16_t *)&q.used.idx != q.used_seen)
			return true;
		CHECK(patient(start));
	}
	return false;
}

/* Bits written in these states are not taken: the request shows which are in force. */
static void check_frozen(uint64_t dev, enum virtio_state late, uint64_t before, uint64_t after)
{
	virtio_enter(dev, STATE_DRIVER, NULL);
	virtio_accept(dev, FEATURE_VERSION_1 | before);
	CHECK_EQ(confirm(dev), virtio_state_bits[STATE_FEATURES]);
	if (late == STATE_FEATURES)
		virtio_accept(dev, FEATURE_VERSION_1 | after);
	virtio_set_queue(dev, 0, &q);
	write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	if (late == STATE_RUNNING)
		virtio_accept(dev, FEATURE_VERSION_1 | after);
	CHECK_EQ(understands_indirect(dev), before != 0);
}

static void check_device(uint64_t dev)
{
	const uint64_t indirect = virtio_features(dev) & FEATURE_INDIRECT_DESC;

	check_version_1_is_needed(dev);
	check_too_early(dev);
	check_words_that_do_not_exist(dev);
	check_all_bits(dev);
	for (enum virtio_state late = STATE_FEATURES; late <= STATE_RUNNING; late++) {
		check_frozen(dev, late, 0, FEATURE_INDIRECT_DESC);
		if (indirect)
			check_frozen(dev, late, FEATURE_INDIRECT_DESC, 0);
	}
	/* A bit that the device does not offer has no effect. */
	if (!indirect) {
		check_frozen(dev, STATE_RESET, 0, 0);
		virtio_enter(dev, STATE_DRIVER, NULL);
		virtio_accept(dev, FEATURE_VERSION_1 | FEATURE_INDIRECT_DESC);
		CHECK_EQ(confirm(dev), virtio_state_bits[STATE_FEATURES]);
		virtio_set_queue(dev, 0, &q);
		write32(dev + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
		CHECK(!understands_indirect(dev));
	}
}

void payload(void)
{
	const uint64_t blk = virtio_find(DEVICE_BLOCK, 0), rng = virtio_find(DEVICE_RNG, 0);

	CHECK(virtio_features(blk) & FEATURE_INDIRECT_DESC);
	check_device(blk);
	check_device(rng);
}
