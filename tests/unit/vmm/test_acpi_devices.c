/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes as bytes: lengths that add up, and each device where it has to be. */
#include "vmm/x86/acpi_devices.h"

#include "test.h"
#include "vmm/x86/layout.h"

enum { CAP = 8192, OP_DEVICE = 0x82, OP_EXT = 0x5b };

static uint8_t buf[CAP];

struct node {
	char name[5];
	size_t at, end; /* of what follows the name */
};

/* The Device() at `at'; its length always takes three bytes (see aml.c). */
static struct node device(const struct aml *a, size_t at)
{
	struct node n = { 0 };
	size_t len;

	CHECK(at + 9 <= a->len);
	CHECK_EQ(buf[at], OP_EXT);
	CHECK_EQ(buf[at + 1], OP_DEVICE);
	CHECK_EQ(buf[at + 2] >> 6, 2);
	len = (buf[at + 2] & 0xfu) | (size_t)buf[at + 3] << 4 | (size_t)buf[at + 4] << 12;
	n.at = at + 9;
	n.end = at + 2 + len;
	CHECK(n.end <= a->len);
	memcpy(n.name, buf + at + 5, 4);
	return n;
}

static struct aml described(unsigned nvirtio)
{
	struct aml a = { .buf = buf, .cap = CAP };

	acpi_devices_describe(&a, nvirtio);
	CHECK(!a.full);
	return a;
}

static struct node find(const struct aml *a, const char *name)
{
	for (size_t at = 0; at < a->len;) {
		struct node n = device(a, at);

		if (strcmp(n.name, name) == 0)
			return n;
		at = n.end;
	}
	FAIL("the device is there");
	return (struct node){ 0 };
}

static bool holds(const struct node *n, const void *what, size_t len)
{
	return memmem(buf + n->at, n->end - n->at, what, len) != NULL;
}
#define HOLDS(n, bytes) CHECK(holds(&(n), bytes, sizeof(bytes) - 1))

TEST(every_device_once)
{
	static const unsigned some[] = { 0, 1, LAYOUT_VIRTIO_MAX };

	for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
		struct aml a = described(some[i]);
		unsigned n = 0;

		for (size_t at = 0; at < a.len; n++)
			at = device(&a, at).end;
		CHECK_EQ(n, some[i] + 6);
	}
}

TEST(last_virtio_device)
{
	struct aml a = described(LAYOUT_VIRTIO_MAX);
	struct node n = find(&a, "V016");

	HOLDS(n, "_HID\x0dLNRO0005");
	HOLDS(n, "\x86\x09\x00\x01\x00\x10\x01\xc0\x00\x10\x00\x00"); /* 0xc0011000, 4096 */
	HOLDS(n, "\x89\x06\x00\x03\x01\x15\x00\x00\x00");	      /* GSI 21 */
}

TEST(panics)
{
	struct aml a = described(0);
	struct node n = find(&a, "PNIC");

	HOLDS(n, "_HID\x0dQEMU0001");
	HOLDS(n, "\x47\x01\x05\x05\x05\x05\x01\x01\x79"); /* port 0x505 */
}

TEST(generation_id)
{
	struct aml a = described(0);
	struct node n = find(&a, "VGEN");

	HOLDS(n, "_HID\x0dVMGENCTR");
	HOLDS(n, "_CID\x0dVM_Gen_Counter");
	HOLDS(n, "_DDN\x0dVM_Gen_Counter");
	/* Package (2) { 0xde000, 0 } */
	HOLDS(n, "\x08"
		 "ADDR\x12\x8a\x00\x00\x02\x0c\x00\xe0\x0d\x00\x00");
}

TEST(clock_page)
{
	struct aml a = described(0);
	struct node n = find(&a, "VCLK");

	HOLDS(n, "_HID\x0d"
		 "AMZNC10C");
	HOLDS(n, "\x86\x09\x00\x01\x00\xf0\x0d\x00\x00\x10\x00\x00\x79\x00"); /* 0xdf000, 4096 */
}

TEST(events_reach_both)
{
	struct aml a = described(3);
	struct node n = find(&a, "GED_");

	HOLDS(n, "_HID\x0d"
		 "ACPI0013");
	HOLDS(n, "\x89\x06\x00\x03\x01\x16\x00\x00\x00\x89\x06\x00\x03\x01\x17\x00\x00\x00\x79");
	/* Method (_EVT, 1, Serialized) of two If (Arg0 == GSI) { Notify (device, 0x80) } */
	HOLDS(n, "\x14\x86\x02\x00_EVT\x09"
		 "\xa0\x8e\x00\x00\x93\x68\x0a\x16\x86VGEN\x0a\x80"
		 "\xa0\x8e\x00\x00\x93\x68\x0a\x17\x86VCLK\x0a\x80");
}

TEST(what_does_not_fit_is_remembered)
{
	struct aml a = described(LAYOUT_VIRTIO_MAX);
	struct aml exact = { .buf = buf, .cap = a.len }, less = { .buf = buf, .cap = a.len - 1 };

	acpi_devices_describe(&exact, LAYOUT_VIRTIO_MAX);
	CHECK(!exact.full);
	acpi_devices_describe(&less, LAYOUT_VIRTIO_MAX);
	CHECK(less.full);
}
