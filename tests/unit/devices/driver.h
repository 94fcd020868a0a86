/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver in a few lines, for tests of devices: a guest of 1 MiB, a loop
 * that is turned by hand, one queue at fixed places, registers by bus accesses.
 */
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "devices/bus.h"
#include "devices/virtio/mmio.h"
#include "test.h"

#define maybe_unused __attribute__((unused))

enum {
	Q_SIZE = 16,
	Q_DESC = 0x0,
	Q_AVAIL = 0x1000,
	Q_USED = 0x2000,
	TABLE = 0x4000,
	BUF = 0x10000
};
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { RAM = 0x100000 };
enum { ACK = 1, DRIVER = 3, FEATURES = 11, RUN = 15 };
enum {
	R_DEVICE_FEATURES = 0x10,
	R_DEVICE_FEATURES_SEL = 0x14,
	R_DRIVER_FEATURES = 0x20,
	R_DRIVER_FEATURES_SEL = 0x24,
	R_QUEUE_SEL = 0x30,
	R_QUEUE_MAX = 0x34,
	R_QUEUE_NUM = 0x38,
	R_QUEUE_READY = 0x44,
	R_NOTIFY = 0x50,
	R_ISR = 0x60,
	R_ACK = 0x64,
	R_STATUS = 0x70,
	R_DESC = 0x80,
	R_AVAIL = 0x90,
	R_USED = 0xa0,
	R_GENERATION = 0xfc,
	R_CONFIG = 0x100,
};

static _Alignas(4096) uint8_t ram[RAM];
static struct gmem mem;
static struct loop loop;
static bool have_loop;
/* Whether the kernel still works for the device; NULL: it never does. */
maybe_unused static bool (*is_busy)(void);
static int irq_fd = -1;
static struct virtio_mmio *mmio;
static uint16_t seen_used;

#ifdef WISP_FAULTS
enum { HAVE_FAULTS = true };
#else
enum { HAVE_FAULTS = false }; /* nothing can be made to fail in these builds */
#endif

/* --- memory ----------------------------------------------------------------- */

maybe_unused static void put16(unsigned at, uint16_t v)
{
	memcpy(ram + at, &v, 2);
}

maybe_unused static uint16_t get16(unsigned at)
{
	uint16_t v;

	memcpy(&v, ram + at, 2);
	return v;
}

maybe_unused static uint32_t get32(unsigned at)
{
	uint32_t v;

	memcpy(&v, ram + at, 4);
	return v;
}

maybe_unused static void desc(unsigned base, unsigned i, uint64_t addr, uint32_t len,
			      uint16_t flags, uint16_t next)
{
	uint8_t *d = ram + base + 16 * i;

	memcpy(d, &addr, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

maybe_unused static void offer(uint16_t head)
{
	uint16_t idx = get16(Q_AVAIL + 2);

	put16(Q_AVAIL + 4 + 2 * (idx % Q_SIZE), head);
	put16(Q_AVAIL + 2, (uint16_t)(idx + 1));
}

/* Takes the next used entry; false when there is none. */
maybe_unused static bool used(uint32_t *head, uint32_t *len)
{
	unsigned at = Q_USED + 4 + 8 * (seen_used % Q_SIZE);

	if (get16(Q_USED + 2) == seen_used)
		return false;
	*head = get32(at);
	*len = get32(at + 4);
	seen_used++;
	return true;
}

/* --- registers --------------------------------------------------------------- */

maybe_unused static uint32_t rd(uint64_t off)
{
	struct bus_dev *b = virtio_mmio_bus(mmio);
	uint32_t v = 0xdeadbeef;

	b->class->read(b, off, &v, 4);
	return v;
}

maybe_unused static void wr(uint64_t off, uint32_t v)
{
	struct bus_dev *b = virtio_mmio_bus(mmio);

	b->class->write(b, off, &v, 4);
}

maybe_unused static void features(uint64_t f)
{
	wr(R_DRIVER_FEATURES_SEL, 0);
	wr(R_DRIVER_FEATURES, (uint32_t)f);
	wr(R_DRIVER_FEATURES_SEL, 1);
	wr(R_DRIVER_FEATURES, (uint32_t)(f >> 32));
}

maybe_unused static void queue_setup(unsigned queue)
{
	wr(R_QUEUE_SEL, queue);
	wr(R_QUEUE_NUM, Q_SIZE);
	wr(R_DESC, Q_DESC);
	wr(R_AVAIL, Q_AVAIL);
	wr(R_USED, Q_USED);
	wr(R_QUEUE_READY, 1);
}

maybe_unused static void to_features_ok(uint64_t f)
{
	wr(R_STATUS, ACK);
	wr(R_STATUS, DRIVER);
	features(f | VIRTIO_F_VERSION_1);
	wr(R_STATUS, FEATURES);
}

maybe_unused static void run_device(uint64_t f)
{
	memset(ram, 0, BUF);
	seen_used = 0;
	to_features_ok(f);
	queue_setup(0);
	wr(R_STATUS, RUN);
	CHECK_EQ(rd(R_STATUS), RUN);
}

/* --- machine ------------------------------------------------------------------ */

/* The loop alone, for what a device needs before it is made. */
maybe_unused static void plug_loop(void)
{
	if (!have_loop)
		CHECK_EQ(loop_init(&loop), 0);
	have_loop = true;
}

/* The given device in a fresh machine. */
maybe_unused static void plug(struct vdev *dev)
{
	struct log_cfg quiet = { .level = LOG_OFF };
	struct err e;

	log_configure(&quiet);
	mem = (struct gmem){ 0 };
	CHECK_EQ(gmem_add(&mem, 0, RAM, ram), 0);
	plug_loop();
	irq_fd = fd_event_create();
	CHECK(irq_fd >= 0);
	CHECK_EQ(virtio_mmio_create(dev, &mmio, &e), 0);
	CHECK_EQ(vdev_attach(dev, &loop, &mem, (struct irq){ .fd = irq_fd }, &e), 0);
}

maybe_unused static void unplug_device(void)
{
	virtio_mmio_destroy(mmio);
	close(irq_fd);
	mmio = NULL;
}

maybe_unused static void unplug(void)
{
	unplug_device();
	loop_fini(&loop);
	have_loop = false;
}

/* Turns the loop until it has nothing more to do. */
maybe_unused static void settle(void)
{
	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(loop_turn(&loop, is_busy && is_busy() ? 1000 : 0), 0);
}

maybe_unused static void kick(void)
{
	wr(R_NOTIFY, 0);
	settle();
}
