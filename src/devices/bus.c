/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/bus.h"

#include <string.h>

/* Devices whose window begins at or below addr: they are dev[0..n). */
static unsigned devices_up_to(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0;
	unsigned high = bus->n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (bus->dev[mid]->base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct bus_dev *dev)
{
	unsigned at = devices_up_to(bus, base);

	if (size == 0 || size - 1 > UINT64_MAX - base)
		return -EINVAL;
	if (at > 0 && base - bus->dev[at - 1]->base < bus->dev[at - 1]->size)
		return -EEXIST;
	if (at < bus->n && bus->dev[at]->base - base < size)
		return -EEXIST;
	if (bus->n == BUS_DEVICES_MAX)
		return -ENOSPC;
	memmove(&bus->dev[at + 1], &bus->dev[at], (bus->n - at) * sizeof(bus->dev[0]));
	dev->base = base;
	dev->size = size;
	bus->dev[at] = dev;
	bus->n++;
	return 0;
}

static struct bus_dev *device_at(const struct bus *bus, uint64_t addr, unsigned len)
{
	unsigned n = devices_up_to(bus, addr);
	struct bus_dev *dev = n > 0 ? bus->dev[n - 1] : NULL;

	if (!dev || addr - dev->base >= dev->size || len > dev->size - (addr - dev->base))
		return NULL;
	return dev;
}

bool bus_read(const struct bus *bus, uint64_t addr, void *data, unsigned len)
{
	struct bus_dev *dev = device_at(bus, addr, len);

	if (!dev) {
		memset(data, 0, len);
		return false;
	}
	dev->class->read(dev, addr - dev->base, data, len);
	return true;
}

bool bus_write(const struct bus *bus, uint64_t addr, const void *data, unsigned len)
{
	struct bus_dev *dev = device_at(bus, addr, len);

	if (!dev)
		return false;
	dev->class->write(dev, addr - dev->base, data, len);
	return true;
}
