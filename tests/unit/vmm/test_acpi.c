/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables, walked from the RSDP as a kernel does. */
#include "vmm/x86/acpi.h"

#include "base/fault.h"
#include "conf/expect.h"
#include "image.h"

static struct gmem mem;

static uint64_t get(gpa_t at, unsigned len)
{
	uint64_t v = 0;

	CHECK_EQ(gmem_read(&mem, at, &v, len), 0);
	return v;
}

static uint8_t sum(gpa_t at, uint64_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + get(at++, 1));
	return s;
}

static bool text_is(gpa_t at, const char *text)
{
	return memcmp(gmem_hva(&mem, at, strlen(text)), text, strlen(text)) == 0;
}

/* Signature, length, revision, checksum and names; the length. */
static uint64_t table(gpa_t at, const char *signature, unsigned revision, const char *id)
{
	uint64_t len = get(at + 4, 4);

	CHECK(text_is(at, signature));
	CHECK(len >= 36);
	CHECK_EQ(at % 16, 0);
	CHECK(at >= LAYOUT_ACPI && at + len <= LAYOUT_ACPI_END);
	CHECK_EQ(get(at + 8, 1), revision);
	CHECK_EQ(sum(at, len), 0);
	CHECK(text_is(at + 10, "FIRECK"));
	CHECK(text_is(at + 16, id));
	return len;
}

struct tables {
	gpa_t xsdt, fadt, madt, dsdt;
	uint64_t madt_len, dsdt_len;
};

static struct tables write_tables(unsigned nvcpus, unsigned nvirtio)
{
	const struct acpi_cfg cfg = { .nvcpus = nvcpus, .nvirtio = nvirtio };
	struct tables t;
	struct err e;

	mem = memory_of(16 * MIB);
	CHECK_EQ(acpi_write(&mem, &cfg, &e), 0);
	CHECK(text_is(0xe0000, "RSD PTR "));
	CHECK_EQ(sum(0xe0000, 20), 0);
	CHECK_EQ(sum(0xe0000, 36), 0);
	CHECK(text_is(0xe0009, "FIRECK"));
	CHECK_EQ(get(0xe000f, 1), 2);
	CHECK_EQ(get(0xe0010, 4), 0); /* no RSDT */
	CHECK_EQ(get(0xe0014, 4), 36);
	t.xsdt = get(0xe0018, 8);
	CHECK_EQ(table(t.xsdt, "XSDT", 1, "FCMVXSDT"), 36 + 2 * 8);
	t.fadt = get(t.xsdt + 36, 8);
	t.madt = get(t.xsdt + 44, 8);
	CHECK_EQ(table(t.fadt, "FACP", 6, "FCVMFADT"), 276);
	t.madt_len = table(t.madt, "APIC", 6, "FCVMMADT");
	t.dsdt = get(t.fadt + 140, 8);
	t.dsdt_len = table(t.dsdt, "DSDT", 2, "FCVMDSDT");
	return t;
}

TEST(nothing_outside_its_place)
{
	write_tables(32, LAYOUT_VIRTIO_MAX);
	for (gpa_t at = 0; at < MIB; at++) {
		if (at == LAYOUT_ACPI)
			at = LAYOUT_ACPI_END;
		if (at == LAYOUT_RSDP)
			at += 36;
		CHECK_EQ(get(at, 1), 0);
	}
}

TEST(tables_do_not_overlap)
{
	struct tables t = write_tables(32, LAYOUT_VIRTIO_MAX);
	const gpa_t at[] = { t.dsdt, t.fadt, t.madt, t.xsdt };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
			CHECK(i == k || at[k] >= at[i] + get(at[i] + 4, 4) || at[k] < at[i]);
}

TEST(fadt)
{
	struct tables t = write_tables(1, 0);
	static const unsigned gas[][2] = { { 116, 2 }, { 244, 0 }, { 256, 1 } };

	CHECK_EQ(get(t.fadt + 112, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4);
	CHECK_EQ(get(t.fadt + 109, 2), 1 | 2 | 4 | 32);
	CHECK_EQ(get(t.fadt + 128, 1), 1); /* RESET_VALUE */
	CHECK_EQ(get(t.fadt + 131, 1), 5); /* 6.5 */
	CHECK(text_is(t.fadt + 268, "FIRECKVM"));
	for (unsigned i = 0; i < ARRAY_SIZE(gas); i++) { /* reset, sleep control, sleep status */
		CHECK_EQ(get(t.fadt + gas[i][0], 4), 0x01000801);
		CHECK_EQ(get(t.fadt + gas[i][0] + 4, 8), 0x600 + gas[i][1]);
	}
	CHECK_EQ(sum(t.fadt + 148, 96), 0); /* no PM blocks */
}

TEST(madt)
{
	static const unsigned counts[] = { 1, 2, 31, 32 };

	for (unsigned k = 0; k < ARRAY_SIZE(counts); k++) {
		struct tables t = write_tables(counts[k], 0);
		gpa_t at = t.madt + 44;

		CHECK_EQ(t.madt_len, 44 + 12 + 6 + 8 * counts[k]);
		CHECK_EQ(get(t.madt + 36, 4), 0xfee00000);
		CHECK_EQ(get(t.madt + 40, 4), 0);
		CHECK_EQ(get(at, 4), 0x00000c01); /* I/O APIC 0 */
		CHECK_EQ(get(at + 4, 8), 0xfec00000);
		CHECK_EQ(get(at + 12, 6), UINT64_C(0x010000ff0604));
		at += 18;
		for (unsigned i = 0; i < counts[k]; i++, at += 8)
			CHECK_EQ(get(at, 8),
				 UINT64_C(0x100000800) + (i << 16) + ((uint64_t)i << 24));
	}
}

static unsigned count(const struct tables *t, const void *bytes, size_t len)
{
	const uint8_t *p = gmem_hva(&mem, t->dsdt, t->dsdt_len);
	unsigned n = 0;

	for (uint64_t i = 0; i + len <= t->dsdt_len; i++)
		n += memcmp(p + i, bytes, len) == 0;
	return n;
}

TEST(dsdt)
{
	for (unsigned n = 0; n <= LAYOUT_VIRTIO_MAX; n++) {
		struct tables t = write_tables(1, n);

		CHECK_EQ(count(&t, "\x08_HID\x0dLNRO0005", 15), n);
		CHECK_EQ(count(&t, "\x08_HID\x0c\x41\xd0\x05\x01", 10), 1); /* PNP0501 */
		CHECK_EQ(count(&t, "\x08_HID\x0c\x41\xd0\x03\x03", 10), 1); /* PNP0303 */
		CHECK_EQ(count(&t, "\x0dVMGENCTR", 10), 1);
		CHECK_EQ(count(&t,
			       "\x0d"
			       "AMZNC10C",
			       10),
			 1);
		CHECK_EQ(count(&t,
			       "\x0d"
			       "ACPI0013",
			       10),
			 1);
		CHECK_EQ(count(&t, "\x08_S5_\x12\x89\x00\x00\x04\x0a\x05\0\0\0", 15), 1);
		for (unsigned i = 0; i < LAYOUT_VIRTIO_MAX; i++) {
			/* Memory of one page, then its interrupt. */
			uint8_t res[] = { 0x86, 9,    0, 1, 0, 0, 0, 0xc0, 0, 0x10, 0,
					  0,	0x89, 6, 0, 3, 1, 0, 0,	   0, 0 };

			put_le(res + 4, 0xc0001000 + i * 0x1000, 4);
			put_le(res + 17, 5 + i, 4);
			CHECK_EQ(count(&t, res, sizeof(res)), i < n);
		}
	}
}

/* Scopes, devices and names nest and end where their lengths say. */
static void walk_devices(const struct tables *t)
{
	const uint8_t *p = gmem_hva(&mem, t->dsdt + 36, t->dsdt_len - 36);
	uint64_t len = t->dsdt_len - 36, scope, at;

	CHECK_EQ(p[0], 0x10);
	scope = (uint64_t)(p[1] & 15) | (uint64_t)p[2] << 4 | (uint64_t)p[3] << 12;
	CHECK(memcmp(p + 4, "\\_SB_", 5) == 0);
	for (at = 9; at < scope + 1;) {
		CHECK_EQ(p[at], 0x5b);
		CHECK_EQ(p[at + 1], 0x82);
		at += 2 + ((uint64_t)(p[at + 2] & 15) | (uint64_t)p[at + 3] << 4 |
			   (uint64_t)p[at + 4] << 12);
	}
	CHECK_EQ(at, scope + 1);
	CHECK(memcmp(p + at, "\x08_S5_", 5) == 0);
	CHECK_EQ(at + 15, len);
}

TEST(devices_nest)
{
	for (unsigned n = 0; n <= LAYOUT_VIRTIO_MAX; n++) {
		struct tables t = write_tables(1, n);

		walk_devices(&t);
	}
}

TEST(no_place)
{
	const struct acpi_cfg cfg = { .nvcpus = 1, .nvirtio = 1 };
	struct err e = { 0 };

	mem = memory_of(0xa0000);
	CHECK_EQ(acpi_write(&mem, &cfg, &e), -ENOSPC);
	expect_msg("acpi", e.msg, "the ACPI tables do not fit below *");
	mem = memory_of(0xe0000); /* all but the RSDP */
	CHECK_EQ(acpi_write(&mem, &cfg, &e), -ENOSPC);
}
