/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pvpanic.h"

#include <string.h>

#include "base/events.h"
#include "base/log.h"
#include "port.h"

static struct pvpanic panic;
static struct event_reader reader;

static struct bus_dev *fresh(void)
{
	log_init("test");
	pvpanic_init(&panic);
	events_begin(&reader);
	return &panic.dev;
}

/* How often an event has come since the last time. */
static unsigned told(const char *event)
{
	static char buf[EVENTS_KEPT * EVENT_LINE_MAX + 1];
	char what[64];
	unsigned n = 0;

	buf[events_read(&reader, buf, sizeof(buf) - 1)] = '\0';
	snprintf(what, sizeof(what), "\"event\":\"%s\"}", event);
	for (const char *at = buf; (at = strstr(at, what)); at++)
		n++;
	return n;
}

TEST(it_says_what_it_knows)
{
	struct bus_dev *dev = fresh();

	CHECK_EQ(in8(dev, 0), PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
	out8(dev, 0, PVPANIC_PANICKED);
	CHECK_EQ(in8(dev, 0), PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
}

/* However often a guest says it. */
TEST(each_event_is_told_once)
{
	struct bus_dev *dev = fresh();

	for (int i = 0; i < 1000; i++)
		out8(dev, 0, PVPANIC_PANICKED);
	CHECK_EQ(told("panicked"), 1);
	for (int i = 0; i < 1000; i++)
		out8(dev, 0, 0xff);
	CHECK_EQ(told("crash-loaded"), 1);
	for (int i = 0; i < 1000; i++)
		out8(dev, 0, 0xff);
	CHECK_EQ(told("panicked"), 0);
}

TEST(unknown_bits_are_no_event)
{
	struct bus_dev *dev = fresh();

	out8(dev, 0, 0);
	out8(dev, 0, 0xfc);
	CHECK_EQ(told("panicked"), 0);
	out8(dev, 0, PVPANIC_PANICKED);
	CHECK_EQ(told("panicked"), 1);
}

TEST(wide_accesses_do_nothing)
{
	static const uint8_t all[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct bus_dev *dev = fresh();
	uint8_t data[8];

	for (unsigned len = 2; len <= 8; len *= 2) {
		dev->class->write(dev, 0, all, len);
		memset(data, 0xff, sizeof(data));
		dev->class->read(dev, 0, data, len);
		CHECK_EQ(data[0], 0);
	}
	CHECK_EQ(told("panicked"), 0);
}
