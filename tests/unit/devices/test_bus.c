/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/bus.h"
#include "test.h"

/* A device that remembers its last access. */
struct probe {
	struct bus_dev dev;
	uint64_t off;
	unsigned len, reads, writes;
	uint8_t data[8];
};

static void probe_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	struct probe *p = container_of(dev, struct probe, dev);

	p->off = off;
	p->len = len;
	p->reads++;
	memset(data, 0xa5, len);
}

static void probe_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct probe *p = container_of(dev, struct probe, dev);

	p->off = off;
	p->len = len;
	p->writes++;
	memcpy(p->data, data, len);
}

static const struct bus_class probe_class = {
	.name = "probe",
	.read = probe_read,
	.write = probe_write,
};

#define PROBE ((struct probe){ .dev.class = &probe_class })

TEST(windows_neither_overlap_nor_wrap)
{
	struct bus bus = { 0 };
	struct probe p = PROBE, q = PROBE, other = PROBE;

	CHECK_EQ(bus_add(&bus, 0x1000, 0, &p.dev), -EINVAL);
	CHECK_EQ(bus_add(&bus, UINT64_MAX, 2, &p.dev), -EINVAL);
	CHECK_EQ(bus_add(&bus, 2, UINT64_MAX, &p.dev), -EINVAL);
	CHECK_EQ(bus_add(&bus, 0x1000, 0x100, &p.dev), 0);
	CHECK_EQ(p.dev.base, 0x1000);
	CHECK_EQ(p.dev.size, 0x100);
	CHECK_EQ(bus_add(&bus, 0x1000, 0x100, &q.dev), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0x10ff, 1, &q.dev), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0xfff, 2, &q.dev), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0, UINT64_MAX, &q.dev), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0xfff, 1, &q.dev), 0);
	CHECK_EQ(bus_add(&bus, 0x1100, 1, &other.dev), 0);
	CHECK_EQ(bus.n, 3);
}

TEST(the_last_byte_of_the_space_is_usable)
{
	struct bus bus = { 0 };
	struct probe p = PROBE;
	uint64_t v;

	CHECK_EQ(bus_add(&bus, UINT64_MAX, 1, &p.dev), 0);
	CHECK(bus_read(&bus, UINT64_MAX, &v, 1));
	CHECK(!bus_read(&bus, UINT64_MAX, &v, 2));
	CHECK(!bus_read(&bus, 0, &v, 1));
}

TEST(the_bus_is_full_at_its_limit)
{
	struct bus bus = { 0 };
	struct probe p[BUS_DEVICES_MAX + 1];

	for (unsigned i = 0; i < BUS_DEVICES_MAX; i++) {
		p[i] = PROBE;
		/* 0x100, 0x300, ... 0x3f00 and then those between */
		CHECK_EQ(bus_add(&bus, (i * 2 % 64 + i / 32) * 0x100, 0x80, &p[i].dev), 0);
	}
	p[BUS_DEVICES_MAX] = PROBE;
	CHECK_EQ(bus_add(&bus, 0x100000, 1, &p[BUS_DEVICES_MAX].dev), -ENOSPC);
	for (unsigned i = 0; i < BUS_DEVICES_MAX; i++) {
		uint8_t v = 0;

		CHECK(bus_write(&bus, p[i].dev.base + 0x7f, &v, 1));
		CHECK_EQ(p[i].writes, 1);
		CHECK(!bus_write(&bus, p[i].dev.base + 0x80, &v, 1));
	}
}

TEST(every_width_at_every_offset)
{
	struct bus bus = { 0 };
	struct probe a = PROBE, b = PROBE;
	struct probe *const in_order[] = { &b, &a };
	static const unsigned widths[] = { 1, 2, 4, 8 };

	CHECK_EQ(bus_add(&bus, 0x110, 0x10, &a.dev), 0);
	CHECK_EQ(bus_add(&bus, 0x100, 0x10, &b.dev), 0); /* they touch */
	for (uint64_t addr = 0xf0; addr < 0x130; addr++) {
		for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
			unsigned len = widths[w];
			unsigned at = (unsigned)(addr - 0x100) / 0x10;
			bool inside = addr >= 0x100 && addr < 0x120 && addr % 0x10 + len <= 0x10;
			uint8_t in[16], out[16];

			memset(in, 0xee, sizeof(in));
			memset(out, (int)(addr + len), sizeof(out));
			CHECK_EQ(bus_read(&bus, addr, in, len), inside);
			CHECK_EQ(bus_write(&bus, addr, out, len), inside);
			for (unsigned i = 0; i < len; i++)
				CHECK_EQ(in[i], inside ? 0xa5 : 0);
			CHECK_EQ(in[len], 0xee);
			if (!inside)
				continue;
			CHECK_EQ(in_order[at]->off, addr % 0x10);
			CHECK_EQ(in_order[at]->len, len);
			CHECK(memcmp(in_order[at]->data, out, len) == 0);
		}
	}
}

TEST(an_empty_bus_answers_nobody)
{
	struct bus bus = { 0 };
	uint32_t v = 0x12345678;

	CHECK(!bus_read(&bus, 0, &v, sizeof(v)));
	CHECK_EQ(v, 0);
	CHECK(!bus_write(&bus, UINT64_MAX, &v, sizeof(v)));
}
