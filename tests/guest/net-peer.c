/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none timeout=60 */
/*
 * A network device's driver that does what frames tell it to. Behind the Ethernet header
 * stands an order: E sends the frame back, F takes no frame until the host presses
 * Ctrl+Alt+Del, A attacks the device with one broken ring after the other, resets it each
 * time, and then sends A back; Q ends. Buffers are small, so that long frames are merged.
 */
#include "lib/virtio.h"

enum { DEVICE_NET = 1, RX = 0, TX = 1, HDR = 12, ETH = 14, BUFFER = 600, FRAME_MAX = 9000 };
#define NET_F_MRG_RXBUF (1ull << 15)

static struct queue rx, tx;
static uint8_t buffers[QUEUE_SIZE][BUFFER];
static uint8_t frame[HDR + FRAME_MAX];
static uint64_t nic;

static void give(uint16_t i)
{
	rx.desc[i] = (struct desc){ (uint64_t)buffers[i], BUFFER, DESC_WRITE, 0 };
	rx.avail.ring[rx.avail.idx % QUEUE_SIZE] = i;
	__asm__ volatile("" ::: "memory"); /* x86 keeps stores in order */
	*(volatile uint16_t *)&rx.avail.idx = (uint16_t)(rx.avail.idx + 1);
}

static void kick(unsigned queue)
{
	fence();
	write32(nic + REG_QUEUE_NOTIFY, queue);
}

static void start(void)
{
	virtio_negotiate(nic, NET_F_MRG_RXBUF);
	virtio_set_queue(nic, RX, &rx);
	virtio_set_queue(nic, TX, &tx);
	write32(nic + REG_STATUS,
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	CHECK_EQ(read32(nic + REG_STATUS),
		 STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

static void give_all(void)
{
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		give(i);
	kick(RX);
}

/* The next buffer that was filled, which the device gets back when its bytes are taken. */
static uint32_t take_buffer(uint8_t *to, uint32_t room)
{
	const uint64_t start = rdtsc();
	uint32_t id, len;

	while (*(volatile uint16_t *)&rx.used.idx == rx.used_seen)
		CHECK(patient(start));
	__asm__ volatile("" ::: "memory");
	id = rx.used.ring[rx.used_seen % QUEUE_SIZE].id;
	len = rx.used.ring[rx.used_seen++ % QUEUE_SIZE].len;
	CHECK(id < QUEUE_SIZE && len <= BUFFER && len <= room);
	for (uint32_t i = 0; i < len; i++)
		to[i] = buffers[id][i];
	give((uint16_t)id);
	return len;
}

/* The next frame; its length with the header. */
static uint32_t take_frame(void)
{
	uint32_t len = take_buffer(frame, sizeof(frame));
	unsigned n = frame[10] | (unsigned)frame[11] << 8;

	CHECK(n >= 1 && n <= QUEUE_SIZE);
	while (--n > 0)
		len += take_buffer(frame + len, (uint32_t)sizeof(frame) - len);
	kick(RX);
	return len;
}

static void send(uint32_t len)
{
	fill(frame, 0, HDR);
	tx.desc[0] = (struct desc){ (uint64_t)frame, len, 0, 0 };
	tx.avail.ring[tx.avail.idx % QUEUE_SIZE] = 0;
	__asm__ volatile("" ::: "memory"); /* x86 keeps stores in order */
	*(volatile uint16_t *)&tx.avail.idx = (uint16_t)(tx.avail.idx + 1);
	kick(TX);
	virtio_await(&tx, 0);
}

static void attack(unsigned queue, struct queue *q, struct desc d)
{
	start();
	q->desc[0] = d;
	q->avail.ring[0] = 0;
	__asm__ volatile("" ::: "memory"); /* x86 keeps stores in order */
	*(volatile uint16_t *)&q->avail.idx = 1;
	kick(queue);
	virtio_await_status(nic, STATUS_NEEDS_RESET);
}

/* Of the receive queue and of the other one: what is no memory, a loop, a bad head. */
static void attack_all(void)
{
	static const struct desc bad[] = {
		{ VIRTIO_BASE, 2048, 0, 0 },	   { ~0ull - 100, 2048, 0, 0 },
		{ 1ull << 40, 2048, 0, 0 },	   { 0x1000, 0xfffff000, 0, 0 },
		{ 0x100000, 100, DESC_NEXT, 0 },   { 0x100000, 100, DESC_NEXT, QUEUE_SIZE },
		{ 0x100000, 16, DESC_INDIRECT, 0 }
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct desc d = bad[i];

		attack(TX, &tx, d);
		d.flags |= DESC_WRITE;
		attack(RX, &rx, d);
	}
	attack(RX, &rx, (struct desc){ 0x100000, HDR - 1, DESC_WRITE, 0 });
	attack(RX, &rx, (struct desc){ 0x100000, 2048, 0, 0 });
}

void payload(void)
{
	uint32_t len;
	uint8_t order;

	host_listen();
	nic = virtio_find(DEVICE_NET, 0);
	start();
	give_all();
	put("READY\n");
	for (;;) {
		len = take_frame();
		CHECK(len > HDR + ETH);
		order = frame[HDR + ETH];
		switch (order) {
		case 'E':
			send(len);
			break;
		case 'F':
			host_turn("FROZEN");
			break;
		case 'A':
			attack_all();
			start();
			give_all();
			send(HDR + ETH + 1);
			break;
		case 'Q':
			return;
		default:
			fail_values(__FILE__, __LINE__, "order", order, 'E');
		}
	}
}
