/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory behind a block device, and requests to it. With DISK_ASYNC its
 * engine is `Async', else `Sync'.
 */
#pragma once

#include <linux/loop.h>
#include <sys/ioctl.h>

#include "devices/virtio/block/async.h"
#include "devices/virtio/block/block.h"
#include "driver.h"

#ifdef DISK_ASYNC
enum { ASYNC = true };
#else
enum { ASYNC = false };
#endif

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0x77 };
enum { SECTORS = 64, SECTOR = 512 };
enum { HEADER = BUF, DATA = BUF + 0x1000, STATUS = BUF + 0xf000 };

#define F_RO	(1 << 5)
#define F_FLUSH (1 << 9)

static struct vdev *dev;
static int disk = -1;
static int device_fd;		     /* the device's own descriptor of the disk */
static struct blk_engine *in_device; /* NULL: Sync */
static struct uring *ring;
static unsigned slots; /* of the ring that are taken */

maybe_unused static bool ring_works(void)
{
	return ring && uring_inflight(ring) > 0;
}

/* An engine for the next device; NULL stands for Sync. */
maybe_unused static struct blk_engine *next_engine(void)
{
	const struct uring_cfg cfg = { .depth = 2 * BLK_ASYNC_DEPTH,
				       .files = 2,
				       .workers = 2 * BLK_ASYNC_WORKERS };
	struct blk_engine *engine = NULL;
	struct err e = { 0 };

	if (!ASYNC)
		return NULL;
	plug_loop();
	if (!ring && uring_create(&cfg, &loop, &ring, &e) < 0)
		SKIP(e.msg);
	is_busy = ring_works;
	CHECK_EQ(blk_async_create(ring, slots++, &engine, &e), 0);
	return engine;
}

maybe_unused static uint8_t pattern(unsigned at)
{
	return (uint8_t)(at * 7 + at / SECTOR);
}

maybe_unused static int make_disk(size_t bytes)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	uint8_t b;

	CHECK(fd >= 0);
	for (size_t i = 0; i < bytes; i++) {
		b = pattern((unsigned)i);
		CHECK_EQ(pwrite(fd, &b, 1, (off_t)i), 1);
	}
	return fd;
}

/* A block device with such sectors on the memory file `disk', gone when it is closed. */
maybe_unused static int make_loop(uint32_t sector)
{
	struct loop_config c = { .fd = (uint32_t)disk,
				 .block_size = sector,
				 .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd;
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	char path[32];

	if (number < 0)
		SKIP("needs a loop device");
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &c) < 0)
		SKIP("needs a loop device");
	close(control);
	return fd;
}

maybe_unused static void plug_disk(struct blk_cfg cfg)
{
	struct err e;

	disk = make_disk(SECTORS * SECTOR + 100);
	cfg.id = "rootfs";
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	if (!cfg.engine)
		cfg.engine = next_engine();
	device_fd = cfg.fd;
	in_device = cfg.engine;
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(cfg.cache == BLK_WRITEBACK ? F_FLUSH : 0);
}

/* Puts something else behind the device's back, and into the ring. */
maybe_unused static void swap_file(int fd)
{
	CHECK_EQ(dup2(fd, device_fd), device_fd);
	if (in_device)
		CHECK_EQ(in_device->class->set_file(in_device, fd), 0);
}

maybe_unused static void unplug_disk(void)
{
	unplug_device();
	uring_destroy(ring);
	ring = NULL;
	slots = 0;
	loop_fini(&loop);
	have_loop = false;
	close(disk);
	disk = -1;
}

/* --- requests as any driver may frame them --------------------------------------- */

struct piece {
	uint32_t at, len;
	uint16_t flags;
};

maybe_unused static void header(uint32_t type, uint64_t sector)
{
	memset(ram + HEADER, 0, 16);
	memcpy(ram + HEADER, &type, 4);
	memcpy(ram + HEADER + 8, &sector, 8);
	ram[STATUS] = UNTOUCHED;
}

maybe_unused static void chain_of(const struct piece *p, unsigned n, unsigned first)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned more = i + 1 < n ? NEXT : 0;

		desc(Q_DESC, first + i, p[i].at, p[i].len, (uint16_t)(p[i].flags | more),
		     (uint16_t)(first + i + 1));
	}
	offer((uint16_t)first);
}

/* Offers it, runs it, gives used.len; the chain must come back. */
maybe_unused static uint32_t run(const struct piece *p, unsigned n)
{
	uint32_t head = UINT32_MAX, len = UINT32_MAX;

	chain_of(p, n, 0);
	kick();
	CHECK(used(&head, &len));
	CHECK_EQ(head, 0);
	CHECK(!used(&head, &len));
	return len;
}

/* The usual three descriptors; returns the status and checks used.len. */
maybe_unused static int request(uint32_t type, uint64_t sector, uint32_t bytes, uint16_t flags,
				uint32_t used_len)
{
	const struct piece p[] = { { HEADER, 16, 0 },
				   { DATA, bytes, flags },
				   { STATUS, 1, WRITE } };

	header(type, sector);
	CHECK_EQ(run(p, 3), used_len);
	CHECK_EQ(ram[STATUS + 1], 0);
	return ram[STATUS];
}

maybe_unused static bool data_is(uint32_t at, unsigned from, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		if (ram[at + i] != pattern(from + i))
			return false;
	return true;
}

/* The usual three descriptors, whatever comes of it. */
maybe_unused static int attempt(uint32_t type, uint32_t bytes, uint16_t flags)
{
	const struct piece p[] = { { HEADER, 16, 0 },
				   { DATA, bytes, flags },
				   { STATUS, 1, WRITE } };

	header(type, 1);
	(void)run(p, 3);
	return ram[STATUS];
}

/* How many of the faults on the way of such a request reach the driver. */
maybe_unused static unsigned faults_that_fail(uint32_t type, uint32_t bytes, uint16_t flags)
{
	unsigned failed = 0;

	for (unsigned n = 0;; n++) {
		int status;

		fault_arm(n);
		status = attempt(type, bytes, flags);
		if (!fault_fired())
			break;
		failed += status == IOERR;
	}
	fault_arm(-1);
	return failed;
}
