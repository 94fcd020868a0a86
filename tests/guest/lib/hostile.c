/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

enum { BIG = 256, SLOTS = BIG / 3, SECTOR = 512, DISK_SECTORS = 2048 };

/* The bystander's ring, of the largest size: one kick is many requests. */
static struct {
	struct desc desc[BIG] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[BIG], used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[BIG];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} ring;

static struct {
	struct blk_header header;
	uint8_t status;
	uint32_t data[SECTOR / 4];
} slot[SLOTS] __attribute__((aligned(16)));

uint64_t victim;
bool victim_is_block;
/* Alone in its page: some attacks make the device write over it and a little further. */
static union {
	struct queue queue;
	uint8_t page[4096];
} own __attribute__((aligned(4096)));
struct queue *vq = &own.queue;
struct blk_header blk_in;
uint8_t vdata[1024] __attribute__((aligned(1024)));
uint8_t vstatus;

static uint64_t bystander;
static uint64_t accepted;
static uint64_t attacks, served;
static unsigned offered; /* of the requests that belong to this attack */

static void bystander_start(void)
{
	const struct place place = { BIG, (uint64_t)ring.desc, (uint64_t)&ring.avail,
				     (uint64_t)&ring.used };

	virtio_negotiate(bystander, 0);
	virtio_place_queue(bystander, 0, &place);
	write32(bystander + REG_QUEUE_READY, 1);
	write32(bystander + REG_STATUS, virtio_state_bits[STATE_RUNNING]);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct desc *d = &ring.desc[3 * i];

		d[0] = (struct desc){ (uint64_t)&slot[i].header, sizeof(slot[i].header), DESC_NEXT,
				      (uint16_t)(3 * i + 1) };
		d[1] = (struct desc){ (uint64_t)slot[i].data, SECTOR, DESC_NEXT | DESC_WRITE,
				      (uint16_t)(3 * i + 2) };
		d[2] = (struct desc){ (uint64_t)&slot[i].status, 1, DESC_WRITE, 0 };
	}
}

static void bystander_offer(void)
{
	unsigned n = BYSTANDER - offered < SLOTS ? BYSTANDER - offered : SLOTS;
	uint16_t idx = ring.avail.idx;

	for (unsigned i = 0; i < n; i++) {
		slot[i].header.sector = (offered + i) % DISK_SECTORS;
		slot[i].status = 0xff;
		slot[i].data[0] = ~0u;
		ring.avail.ring[(uint16_t)(idx + i) % BIG] = (uint16_t)(3 * i);
	}
	__asm__ volatile("" ::: "memory");
	*(volatile uint16_t *)&ring.avail.idx = (uint16_t)(idx + n);
	fence();
	write32(bystander + REG_QUEUE_NOTIFY, 0);
}

/* Waits for what was offered last, and checks every one of them. */
static void bystander_collect(void)
{
	unsigned n = BYSTANDER - offered < SLOTS ? BYSTANDER - offered : SLOTS;
	volatile uint16_t *used = &ring.used.idx;
	const uint64_t start = rdtsc();

	while (*used != ring.avail.idx)
		CHECK(patient(start));
	__asm__ volatile("" ::: "memory");
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(slot[i].status, BLK_OK);
		CHECK_EQ(slot[i].data[0], (offered + i) % DISK_SECTORS);
	}
	offered += n;
	served += n;
}

static void bystander_finish(void)
{
	bystander_collect();
	while (offered < BYSTANDER) {
		bystander_offer();
		bystander_collect();
	}
	CHECK_EQ(read32(bystander + REG_STATUS), virtio_state_bits[STATE_RUNNING]);
}

void revive(void)
{
	virtio_start(victim, vq, accepted);
	virtio_check_works(victim, vq);
	blk_in = (struct blk_header){ BLK_IN, 0, 5 };
}

void hostile_begin(uint64_t features)
{
	const uint32_t kind = (uint32_t)cmdline_number("victim");

	host_listen();
	victim = virtio_find(kind, 0);
	victim_is_block = kind == DEVICE_BLOCK;
	bystander = virtio_find(DEVICE_BLOCK, 1);
	accepted = virtio_features(victim) & features;
	bystander_start();
	/* Everything has been used once before the host takes its first look. */
	bystander_offer();
	bystander_finish();
	served = 0;
	virtio_enter(victim, STATE_BROKEN, vq);
	revive();
	host_turn("READY");
}

bool victim_has(uint64_t feature)
{
	return accepted & feature;
}

void attack_begin(void)
{
	vstatus = 0xff;
	offered = 0;
	bystander_offer();
}

bool victim_broke(void)
{
	return read32(victim + REG_STATUS) & STATUS_NEEDS_RESET;
}

/* Until the chain came back or the device gave up; the first of them counts. */
static void await_either(void)
{
	const uint64_t start = rdtsc();

	while (*(volatile uint16_t *)&vq->used.idx == vq->used_seen && !victim_broke())
		CHECK(patient(start));
}

uint32_t attack_end(enum outcome outcome, uint16_t head)
{
	uint32_t len = 0;

	switch (outcome) {
	case BROKEN:
		virtio_await_status(victim, STATUS_NEEDS_RESET);
		CHECK(read32(victim + REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG);
		CHECK_EQ(*(volatile uint16_t *)&vq->used.idx, vq->used_seen);
		break;
	case ANSWERED:
		len = virtio_await(vq, head);
		CHECK(!victim_broke());
		break;
	case EITHER:
		await_either();
		break;
	case ANY:
		break;
	}
	bystander_finish();
	attacks++;
	revive();
	return len;
}

uint32_t attack(enum outcome outcome, uint16_t head)
{
	attack_begin();
	virtio_submit(victim, vq, head);
	return attack_end(outcome, head);
}

void good_chain(void)
{
	const struct desc block[] = {
		{ (uint64_t)&blk_in, sizeof(blk_in), DESC_NEXT, 1 },
		{ (uint64_t)vdata, 512, DESC_NEXT | DESC_WRITE, 2 },
		{ (uint64_t)&vstatus, 1, DESC_WRITE, 0 },
	};
	const struct desc entropy = { (uint64_t)vdata, 512, DESC_WRITE, 0 };

	if (victim_is_block)
		chain(3, block);
	else
		chain(1, &entropy);
}

void chain(unsigned n, const struct desc *desc)
{
	for (unsigned i = 0; i < n; i++)
		vq->desc[i] = desc[i];
}

void hostile_end(void)
{
	CHECK(attacks > 0);
	CHECK_EQ(served, attacks * BYSTANDER);
	put("ATTACKS ");
	put_hex(attacks);
	put(" SERVED ");
	put_hex(served);
	put("\n");
	host_turn("DONE");
}
