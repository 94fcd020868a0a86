/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-mmio driver that a test can misuse: virtio 1.2, sections 2.7 and 4.2.
 *
 * Rings are plain arrays that the payload may scribble on. Everything polls.
 */
#pragma once

#include "payload.h"

enum {
	VIRTIO_BASE = 0xc0001000,
	VIRTIO_STRIDE = 0x1000,
	VIRTIO_SLOTS = 19,
	VIRTIO_WINDOW = 0x1000,
	VIRTIO_MAGIC = 0x74726976,
};

enum virtio_reg {
	REG_MAGIC = 0x00,
	REG_VERSION = 0x04,
	REG_DEVICE_ID = 0x08,
	REG_VENDOR_ID = 0x0c,
	REG_DEVICE_FEATURES = 0x10,
	REG_DEVICE_FEATURES_SEL = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_NUM_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_QUEUE_NOTIFY = 0x50,
	REG_INTERRUPT_STATUS = 0x60,
	REG_INTERRUPT_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_QUEUE_DESC = 0x80,
	REG_QUEUE_DRIVER = 0x90,
	REG_QUEUE_DEVICE = 0xa0,
	REG_SHM_LEN = 0xb0,
	REG_SHM_BASE = 0xb8,
	REG_CONFIG_GENERATION = 0xfc,
	REG_CONFIG = 0x100,
};

enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
	STATUS_FAILED = 128,
};

enum { INTERRUPT_RING = 1, INTERRUPT_CONFIG = 2 };
enum { DEVICE_BLOCK = 2, DEVICE_RNG = 4 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
#define FEATURE_INDIRECT_DESC (1ull << 28)
#define FEATURE_EVENT_IDX     (1ull << 29)
#define FEATURE_VERSION_1     (1ull << 32)

enum { QUEUE_SIZE = 16 };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct queue {
	struct desc desc[QUEUE_SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail __attribute__((aligned(2)));
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	uint16_t used_seen;
};

/* The n-th device of that kind; fails the payload if there is none. */
uint64_t virtio_find(uint32_t device_id, unsigned n);

uint64_t virtio_features(uint64_t dev);
/* Writes both words of the driver's features. */
void virtio_accept(uint64_t dev, uint64_t features);

/* Reset, negotiation of VERSION_1 and `features', one empty queue 0, DRIVER_OK. */
void virtio_start(uint64_t dev, struct queue *q, uint64_t features);

/* The parts of virtio_start(), for payloads that stop half way. */
void virtio_negotiate(uint64_t dev, uint64_t features);
void virtio_set_queue(uint64_t dev, unsigned index, struct queue *q);

/* Ring addresses and size of a queue into its registers, QueueReady left alone. */
struct place {
	uint32_t size;
	uint64_t desc, driver, device;
};
struct place queue_place(const struct queue *q);
void virtio_place_queue(uint64_t dev, unsigned index, const struct place *place);

/* The states that a driver can bring a device into, and the status register in each. */
enum virtio_state {
	STATE_RESET,
	STATE_ACKNOWLEDGED,
	STATE_DRIVER,	/* VERSION_1 is accepted, not yet confirmed */
	STATE_FEATURES, /* confirmed */
	STATE_RUNNING,	/* queue 0 is `q' */
	STATE_BROKEN,	/* was running, needs a reset */
	STATE_FAILED,	/* given up by the driver before FEATURES_OK */
	STATES,
};
extern const uint32_t virtio_state_bits[STATES];
void virtio_enter(uint64_t dev, enum virtio_state state, struct queue *q);

/* Makes the chain that begins at `head' available and kicks queue 0. */
void virtio_submit(uint64_t dev, struct queue *q, uint16_t head);

/* Waits for the next used element; its length. Fails if the device does not come or if
 * another chain than `head' comes back. */
uint32_t virtio_await(struct queue *q, uint16_t head);

/* Waits until the status has the bits. */
void virtio_await_status(uint64_t dev, uint32_t bits);

/* --- block: section 5.2 --- */

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };
#define BLK_F_RO    (1ull << 5)
#define BLK_F_FLUSH (1ull << 9)

/* One request of header, data (none if len is 0) and status, completed; its status byte. */
uint8_t blk_request(uint64_t dev, struct queue *q, uint32_t type, uint64_t sector, void *data,
		    uint32_t len);

/* One request that must succeed, of whatever kind of device it is: the device works. */
void virtio_check_works(uint64_t dev, struct queue *q);
