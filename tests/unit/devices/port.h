/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses to a device as a vCPU makes them, and the interrupts that it raised. */
#pragma once

#include <sys/eventfd.h>

#include "devices/bus.h"
#include "devices/irq.h"
#include "test.h"

static inline uint8_t in8(struct bus_dev *dev, uint64_t off)
{
	uint8_t v = 0xee;

	dev->class->read(dev, off, &v, 1);
	return v;
}

static inline void out8(struct bus_dev *dev, uint64_t off, uint8_t v)
{
	dev->class->write(dev, off, &v, 1);
}

static inline struct irq irq_for_test(void)
{
	struct irq irq = { .fd = fd_event_create() };

	CHECK(irq.fd >= 0);
	return irq;
}

/* Edges since the last call. */
static inline uint64_t irq_count(struct irq irq)
{
	uint64_t n = 0;

	return read(irq.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Accesses of every width at every offset of a window that is not a byte wide. */
static inline void port_hammer_widths(struct bus_dev *dev, uint64_t size)
{
	static const unsigned widths[] = { 2, 4, 8 };

	for (uint64_t off = 0; off < size; off++) {
		for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
			uint8_t data[9];

			if (widths[w] > size - off)
				continue;
			memset(data, 0xfe, sizeof(data));
			dev->class->write(dev, off, data, widths[w]);
			dev->class->read(dev, off, data, widths[w]);
			for (unsigned i = 0; i < widths[w]; i++)
				CHECK_EQ(data[i], 0);
			CHECK_EQ(data[widths[w]], 0xfe);
		}
	}
}
