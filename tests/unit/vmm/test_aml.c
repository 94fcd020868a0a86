/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI Machine Language: what each call appends, and a buffer that ends anywhere. */
#include "vmm/x86/aml.h"

#include "test.h"

static uint8_t buf[8192];
static struct aml a;

static void begin(size_t cap)
{
	memset(buf, 0xcc, sizeof(buf));
	a = (struct aml){ .buf = buf, .cap = cap };
}

static void wrote(const char *what, const void *bytes, size_t len)
{
	bool same = a.len == len && memcmp(buf, bytes, len) == 0;

	if (!same) {
		fprintf(stderr, "# %s:", what);
		for (size_t i = 0; i < a.len; i++)
			fprintf(stderr, " %02x", buf[i]);
		fprintf(stderr, "\n");
	}
	CHECK(same && !a.full);
}

#define WROTE(call, bytes)                                \
	do {                                              \
		begin(sizeof(buf));                       \
		call;                                     \
		wrote(#call, (bytes), sizeof(bytes) - 1); \
	} while (0)

TEST(integers)
{
	WROTE(aml_integer(&a, 0), "\x00");
	WROTE(aml_integer(&a, 1), "\x01");
	WROTE(aml_integer(&a, 2), "\x0a\x02");
	WROTE(aml_integer(&a, 255), "\x0a\xff");
	WROTE(aml_integer(&a, 256), "\x0b\x00\x01");
	WROTE(aml_integer(&a, 65535), "\x0b\xff\xff");
	WROTE(aml_integer(&a, 65536), "\x0c\x00\x00\x01\x00");
	WROTE(aml_integer(&a, UINT32_MAX), "\x0c\xff\xff\xff\xff");
}

TEST(names)
{
	WROTE(aml_name(&a, "_S5_"), "\x08_S5_");
	WROTE(aml_name_integer(&a, "_UID", 7), "\x08_UID\x0a\x07");
	WROTE(aml_name_string(&a, "_HID", "LNRO0005"), "\x08_HID\x0dLNRO0005\0");
	WROTE(aml_name_eisa(&a, "_HID", "PNP0501"), "\x08_HID\x0c\x41\xd0\x05\x01");
	WROTE(aml_name_eisa(&a, "_HID", "PNP0303"), "\x08_HID\x0c\x41\xd0\x03\x03");
	WROTE(aml_name_eisa(&a, "_HID", "ACPABCD"), "\x08_HID\x0c\x04\x70\xab\xcd");
	WROTE(aml_name_eisa(&a, "_HID", "ZZZ9FAE"), "\x08_HID\x0c\x6b\x5a\x9f\xae");
}

static size_t package_length(const uint8_t *at)
{
	CHECK_EQ(at[0] >> 6, 2); /* two bytes follow */
	CHECK_EQ(at[0] & 0x30, 0);
	return (size_t)(at[0] & 15) | (size_t)at[1] << 4 | (size_t)at[2] << 12;
}

TEST(packages)
{
	aml_mark m;

	begin(sizeof(buf));
	m = aml_scope_open(&a, "\\_SB_");
	aml_close(&a, m);
	wrote("scope", "\x10\x88\x00\x00\\_SB_", 9);
	begin(sizeof(buf));
	m = aml_device_open(&a, "COM1");
	aml_close(&a, m);
	wrote("device",
	      "\x5b\x82\x87\x00\x00"
	      "COM1",
	      9);
	begin(sizeof(buf));
	m = aml_package_open(&a, 2);
	aml_integer(&a, 5);
	aml_integer(&a, 0);
	aml_close(&a, m);
	wrote("package", "\x12\x87\x00\x00\x02\x0a\x05\x00", 8);
	begin(sizeof(buf));
	m = aml_method_open(&a, "_EVT", 1);
	aml_if_arg0_notify(&a, 22, "VGEN", 0x80);
	aml_close(&a, m);
	wrote("method", "\x14\x87\x01\x00_EVT\x09\xa0\x8e\x00\x00\x93\x68\x0a\x16\x86VGEN\x0a\x80",
	      24);
}

/* On both sides of each byte of the length. */
TEST(lengths_of_packages)
{
	static const size_t inner[] = { 0, 11, 12, 13, 250, 252, 4090, 4092, 4093, 8000 };

	for (unsigned i = 0; i < ARRAY_SIZE(inner); i++) {
		aml_mark m;

		begin(sizeof(buf));
		m = aml_scope_open(&a, "");
		for (size_t n = 0; n < inner[i]; n++)
			aml_integer(&a, 1);
		aml_close(&a, m);
		CHECK_EQ(package_length(buf + 1), inner[i] + 3);
		CHECK_EQ(a.len, inner[i] + 4);
	}
}

TEST(resources)
{
	struct aml_crs crs;

	begin(sizeof(buf));
	crs = aml_crs_open(&a);
	aml_crs_memory32(&a, 0xc0001000, 0x1000);
	aml_crs_edge_interrupt(&a, 5);
	aml_crs_io(&a, 0x3f8, 8);
	aml_crs_close(&a, crs);
	/* Name, Buffer of length 0x25 with 0x1f bytes, the three descriptors, the end. */
	wrote("resources",
	      "\x08_CRS\x11\x85\x02\x00\x0b\x1f\x00"
	      "\x86\x09\x00\x01\x00\x10\x00\xc0\x00\x10\x00\x00"
	      "\x89\x06\x00\x03\x01\x05\x00\x00\x00"
	      "\x47\x01\xf8\x03\xf8\x03\x01\x08"
	      "\x79\x00",
	      43);
}

static void all_of_it(void)
{
	aml_mark scope = aml_scope_open(&a, "\\_SB_");
	aml_mark dev = aml_device_open(&a, "COM1");
	struct aml_crs crs;
	aml_mark m;

	aml_name_eisa(&a, "_HID", "PNP0501");
	aml_name_string(&a, "_CID", "text");
	aml_name_integer(&a, "_UID", 70000);
	crs = aml_crs_open(&a);
	aml_crs_memory32(&a, 1, 2);
	aml_crs_io(&a, 1, 2);
	aml_crs_edge_interrupt(&a, 3);
	aml_crs_close(&a, crs);
	m = aml_method_open(&a, "_EVT", 1);
	aml_if_arg0_notify(&a, 22, "VGEN", 0x80);
	aml_close(&a, m);
	aml_close(&a, dev);
	aml_close(&a, scope);
}

TEST(a_full_buffer_is_remembered_and_not_overrun)
{
	size_t need;

	begin(sizeof(buf));
	all_of_it();
	need = a.len;
	for (size_t cap = 0; cap <= need; cap++) {
		begin(cap);
		all_of_it();
		CHECK_EQ(a.full, cap < need);
		CHECK(a.len <= cap);
		for (size_t i = cap; i < sizeof(buf); i++)
			CHECK_EQ(buf[i], 0xcc);
	}
}
