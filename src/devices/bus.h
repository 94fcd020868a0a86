/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space of devices: ports or MMIO.
 *
 * Built by one thread before the first vCPU runs, constant afterwards, so any vCPU
 * thread looks up without a lock. A device sees the offset into its own window, the
 * width as the guest used it (1, 2, 4 or 8 bytes) and little-endian bytes; it must
 * take every width at every offset. It locks itself. An access never reaches beyond
 * the window: one that straddles its end belongs to nobody.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

struct bus_dev;

struct bus_class {
	const char *name;
	/* Fills len bytes, all of them. vCPU thread. */
	void (*read)(struct bus_dev *dev, uint64_t off, void *data, unsigned len);
	void (*write)(struct bus_dev *dev, uint64_t off, const void *data, unsigned len);
};

struct bus_dev { /* embedded in the device */
	const struct bus_class *class;
	uint64_t base, size; /* set by bus_add() */
};

enum { BUS_DEVICES_MAX = 32 };

struct bus {
	unsigned n;
	struct bus_dev *dev[BUS_DEVICES_MAX]; /* by base; not owned */
};

/* -EEXIST when the window overlaps another, -ENOSPC, -EINVAL when empty or wrapping. */
must_check int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct bus_dev *dev);

/* False when nobody is there; a read then gives zeros. */
bool bus_read(const struct bus *bus, uint64_t addr, void *data, unsigned len);
bool bus_write(const struct bus *bus, uint64_t addr, const void *data, unsigned len);
