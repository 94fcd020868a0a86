/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=transport devices=block,rng timeout=60 */
/* Registers answer aligned 32-bit accesses only, in every state of the device. */
#include "lib/virtio.h"

enum { CONFIG_SEEN = 0x180, STRIDE = 61 };

static struct queue q;
static uint32_t features_low;
static uint8_t config[16];
static uint32_t config_len;

static uint32_t expected_register(uint64_t dev, uint32_t off, enum virtio_state state)
{
	switch (off) {
	case REG_MAGIC:
		return VIRTIO_MAGIC;
	case REG_VERSION:
		return 2;
	case REG_DEVICE_ID:
		return dev == VIRTIO_BASE ? DEVICE_BLOCK : DEVICE_RNG;
	case REG_DEVICE_FEATURES:
		return features_low;
	case REG_QUEUE_NUM_MAX:
		return 256;
	case REG_QUEUE_READY:
		return state == STATE_RUNNING || state == STATE_BROKEN;
	case REG_INTERRUPT_STATUS:
		return state == STATE_BROKEN ? INTERRUPT_CONFIG : 0;
	case REG_STATUS:
		return virtio_state_bits[state];
	case REG_SHM_LEN:
	case REG_SHM_LEN + 4:
	case REG_SHM_BASE:
	case REG_SHM_BASE + 4:
		return ~0u; /* no such region */
	default:
		return 0;
	}
}

/* Bytes behind the configuration space are zero. */
static uint64_t expected_config(uint32_t off, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		if (off + i < config_len)
			v |= (uint64_t)config[off + i] << 8 * i;
	return v;
}

static uint64_t read_width(uint64_t at, unsigned width)
{
	switch (width) {
	case 1:
		return read8(at);
	case 2:
		return read16(at);
	case 4:
		return read32(at);
	default:
		return read64(at);
	}
}

static void write_width(uint64_t at, unsigned width, uint64_t v)
{
	switch (width) {
	case 1:
		write8(at, (uint8_t)v);
		break;
	case 2:
		write16(at, (uint16_t)v);
		break;
	case 4:
		write32(at, (uint32_t)v);
		break;
	default:
		write64(at, v);
		break;
	}
}

static void check_read(uint64_t dev, uint32_t off, enum virtio_state state)
{
	for (unsigned width = 1; width <= 8; width *= 2) {
		uint64_t should = 0;

		if (off + width > VIRTIO_WINDOW)
			return; /* the rest is the next device's */
		if (off >= REG_CONFIG)
			should = expected_config(off - REG_CONFIG, width);
		else if (width == 4 && off % 4 == 0)
			should = expected_register(dev, off, state);
		CHECK_EQ(read_width(dev + off, width), should);
	}
}

/* What a write of a wrong width, at a wrong place or to a constant could have changed. */
static void check_unchanged(uint64_t dev, enum virtio_state state)
{
	CHECK_EQ(read32(dev + REG_STATUS), virtio_state_bits[state]);
	CHECK_EQ(read32(dev + REG_DEVICE_FEATURES), features_low);
	CHECK_EQ(read32(dev + REG_QUEUE_NUM_MAX), 256);
	CHECK_EQ(read32(dev + REG_QUEUE_READY), expected_register(dev, REG_QUEUE_READY, state));
}

static bool is_writable(uint32_t off)
{
	static const uint8_t writable[] = {
		REG_DEVICE_FEATURES_SEL, REG_DRIVER_FEATURES, REG_DRIVER_FEATURES_SEL,
		REG_QUEUE_SEL,		 REG_QUEUE_NUM,	      REG_QUEUE_READY,
		REG_QUEUE_NOTIFY,	 REG_INTERRUPT_ACK,   REG_STATUS,
		REG_QUEUE_DESC,		 REG_QUEUE_DESC + 4,  REG_QUEUE_DRIVER,
		REG_QUEUE_DRIVER + 4,	 REG_QUEUE_DEVICE,    REG_QUEUE_DEVICE + 4,
	};

	for (unsigned i = 0; i < sizeof(writable); i++)
		if (off == writable[i])
			return true;
	return false;
}

static void check_odd_writes(uint64_t dev, enum virtio_state state)
{
	for (uint32_t off = 0; off < CONFIG_SEEN; off++) {
		for (unsigned width = 1; width <= 8; width *= 2) {
			if (width == 4 && is_writable(off))
				continue;
			write_width(dev + off, width, ~0ull);
			write_width(dev + off, width, 0);
		}
		check_unchanged(dev, state);
	}
	if (state == STATE_RUNNING)
		virtio_check_works(dev, &q);
}

static void learn(uint64_t dev)
{
	virtio_enter(dev, STATE_RESET, NULL);
	features_low = (uint32_t)virtio_features(dev);
	write32(dev + REG_DEVICE_FEATURES_SEL, 0);
	config_len = read32(dev + REG_DEVICE_ID) == DEVICE_BLOCK ? 16 : 0;
	for (unsigned i = 0; i < config_len; i++)
		config[i] = read8(dev + REG_CONFIG + i);
	/* The whole window, once. */
	for (uint32_t off = CONFIG_SEEN; off < VIRTIO_WINDOW; off++)
		check_read(dev, off, STATE_RESET);
}

static void check_device(uint64_t dev)
{
	learn(dev);
	for (enum virtio_state state = STATE_RESET; state < STATES; state++) {
		virtio_enter(dev, state, &q);
		for (uint32_t off = 0; off < CONFIG_SEEN; off++)
			check_read(dev, off, state);
		for (uint32_t off = CONFIG_SEEN; off < VIRTIO_WINDOW; off += STRIDE)
			check_read(dev, off, state);
		check_odd_writes(dev, state);
		virtio_enter(dev, STATE_RUNNING, &q);
		virtio_check_works(dev, &q);
	}
}

void payload(void)
{
	check_device(virtio_find(DEVICE_BLOCK, 0));
	check_device(virtio_find(DEVICE_RNG, 0));
}
