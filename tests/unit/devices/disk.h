/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory behind a block device, and requests to it. */
#pragma once

#include "devices/virtio/block/block.h"
#include "driver.h"

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0x77 };
enum { SECTORS = 64, SECTOR = 512 };
enum { HEADER = BUF, DATA = BUF + 0x1000, STATUS = BUF + 0xf000 };

#define F_RO	(1 << 5)
#define F_FLUSH (1 << 9)

static struct vdev *dev;
static int disk = -1;

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

maybe_unused static void plug_disk(struct blk_cfg cfg)
{
	struct err e;

	disk = make_disk(SECTORS * SECTOR + 100);
	cfg.id = "rootfs";
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(cfg.cache == BLK_WRITEBACK ? F_FLUSH : 0);
}

maybe_unused static void unplug_disk(void)
{
	unplug();
	close(disk);
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
