/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot devices=block,rng */
/* The tables: hardware-reduced, one LAPIC a vCPU, and a node for every device. */
#include "lib/acpi.h"

enum { FADT_FLAGS = 112, FLAG_HW_REDUCED = 1 << 20, FLAG_RESET_REG = 1 << 10 };
enum { MADT_ENTRIES = 44, MADT_LAPIC = 0, MADT_IOAPIC = 1 };

static unsigned count_madt(const struct acpi *acpi, uint8_t type)
{
	const uint64_t end = acpi->madt + acpi->madt_len;
	unsigned n = 0;

	for (uint64_t at = acpi->madt + MADT_ENTRIES; at < end; at += read8(at + 1)) {
		CHECK(read8(at + 1) >= 2 && read8(at + 1) <= end - at);
		n += read8(at) == type;
	}
	return n;
}

static unsigned count_text(const struct acpi *acpi, const char *text, unsigned len)
{
	unsigned n = 0;

	for (uint32_t i = 0; i + len <= acpi->dsdt_len; i++)
		n += equal((const void *)(acpi->dsdt + i), text, len);
	return n;
}

void payload(void)
{
	const struct acpi acpi = acpi_find();
	const uint32_t flags = read32(acpi.fadt + FADT_FLAGS);

	CHECK(flags & FLAG_HW_REDUCED);
	CHECK(flags & FLAG_RESET_REG);
	CHECK_EQ(count_madt(&acpi, MADT_LAPIC), 1);
	CHECK_EQ(count_madt(&acpi, MADT_IOAPIC), 1);
	CHECK_EQ(count_text(&acpi, "LNRO0005", 8), 2);
	CHECK_EQ(count_text(&acpi, "_S5_", 4), 1);
}
