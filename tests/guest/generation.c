/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot devices=block */
/* VMGenID and VMClock: found by ACPI, in reserved memory, filled; the event device names both. */
#include "lib/acpi.h"

enum { AML_PACKAGE = 0x12, AML_BYTE = 0x0a, AML_WORD = 0x0b, AML_DWORD = 0x0c };
enum { RES_MEMORY32_FIXED = 0x86 };

static uint64_t find_text(const struct acpi *acpi, const char *text, unsigned len)
{
	for (uint32_t i = 0; i + len <= acpi->dsdt_len; i++)
		if (equal((const void *)(acpi->dsdt + i), text, len))
			return acpi->dsdt + i + len;
	fail(__FILE__, __LINE__, text);
}

/* An integer of AML; *at is behind it then. */
static uint64_t integer(uint64_t *at)
{
	static const uint8_t bytes[] = { [AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4 };
	const uint8_t op = read8((*at)++);
	uint64_t v = 0;

	if (op <= 1)
		return op;
	CHECK(op < sizeof(bytes) && bytes[op]);
	for (unsigned i = 0; i < bytes[op]; i++)
		v |= (uint64_t)read8((*at)++) << (8 * i);
	return v;
}

static void check_reserved(uint64_t at, uint64_t len)
{
	for (unsigned n = 0; n < e820_count(); n++) {
		const struct e820_entry e = e820_get(n);

		if (e.type == E820_RESERVED && at >= e.addr && at + len <= e.addr + e.size)
			return;
	}
	fail(__FILE__, __LINE__, "memory is reserved");
}

static void check_vmgenid(const struct acpi *acpi)
{
	uint64_t at = find_text(acpi, "VMGENCTR", 8), address;
	unsigned set = 0;

	(void)find_text(acpi, "VM_Gen_Counter", 14);
	at = find_text(acpi, "ADDR", 4);
	CHECK_EQ(read8(at), AML_PACKAGE);
	at += 2 + (read8(at + 1) >> 6); /* its length */
	CHECK_EQ(read8(at++), 2);
	address = integer(&at);
	address |= integer(&at) << 32;
	CHECK_EQ(address % 8, 0);
	check_reserved(address, 16);
	for (unsigned i = 0; i < 16; i++)
		set |= read8(address + i);
	CHECK(set);
	put("GENERATION ");
	put_hex(read64(address));
	put("\n");
}

static void check_vmclock(const struct acpi *acpi)
{
	uint64_t at = find_text(acpi, "AMZNC10C", 8), page;

	while (read8(at) != RES_MEMORY32_FIXED)
		CHECK(++at < acpi->dsdt + acpi->dsdt_len);
	page = read32(at + 4);
	CHECK_EQ(read32(at + 8), 4096);
	CHECK_EQ(page % 4096, 0);
	check_reserved(page, 4096);
	CHECK_EQ(read32(page), 0x4b4c4356); /* "VCLK" */
	CHECK_EQ(read32(page + 4), 4096);
	CHECK_EQ(read16(page + 8), 1);
	CHECK_EQ(read8(page + 10), 0xff); /* no counter */
	CHECK_EQ(read32(page + 12) & 1, 0);
	CHECK_EQ(read64(page + 16), 0);	     /* never disrupted */
	CHECK_EQ(read64(page + 24), 3 << 8); /* generation counter, notifications */
	CHECK_EQ(read64(page + 104), 0);     /* never restored */
}

void payload(void)
{
	const struct acpi acpi = acpi_find();

	check_vmgenid(&acpi);
	check_vmclock(&acpi);
	(void)find_text(&acpi, "ACPI0013", 8);
	(void)find_text(&acpi, "_EVT", 4);
}
