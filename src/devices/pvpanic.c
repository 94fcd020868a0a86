/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pvpanic.h"

#include <string.h>

#include "base/events.h"
#include "base/log.h"

static void pvpanic_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	(void)dev;
	(void)off;
	memset(data, 0, len);
	if (len == 1)
		*(uint8_t *)data = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);
	const uint8_t v = *(const uint8_t *)data;
	uint8_t fresh;

	(void)off;
	if (len != 1)
		return;
	fresh = v & (uint8_t)~__atomic_fetch_or(&p->reported, v, __ATOMIC_RELAXED);
	if (fresh & PVPANIC_PANICKED) {
		log_warn("The guest's kernel has panicked (pvpanic).");
		event_emit("panicked", NULL);
	}
	if (fresh & PVPANIC_CRASH_LOADED) {
		log_warn("The guest's kernel has panicked, and its crash kernel begins (pvpanic).");
		event_emit("crash-loaded", NULL);
	}
}

static const struct bus_class pvpanic_class = {
	.name = "pvpanic",
	.read = pvpanic_read,
	.write = pvpanic_write,
};

void pvpanic_init(struct pvpanic *p)
{
	*p = (struct pvpanic){ .dev.class = &pvpanic_class };
}
