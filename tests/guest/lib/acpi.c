/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and checking the ACPI tables. */
#include "acpi.h"

enum { TABLE_LENGTH = 4, TABLE_OEM_ID = 10, TABLE_HEADER_LEN = 36, LEN_MAX = 65536 };
enum { RSDP_V1_LEN = 20, RSDP_LEN = 36, RSDP_REVISION = 15, RSDP_XSDT = 24 };
enum { FADT_X_DSDT = 140 };

static uint8_t sum(uint64_t at, uint32_t len)
{
	uint8_t total = 0;

	while (len-- > 0)
		total = (uint8_t)(total + read8(at++));
	return total;
}

static uint32_t check_table(uint64_t at, const char *signature)
{
	const uint32_t len = read32(at + TABLE_LENGTH);

	CHECK(equal((const void *)at, signature, 4));
	CHECK(len >= TABLE_HEADER_LEN && len <= LEN_MAX);
	CHECK_EQ(sum(at, len), 0);
	CHECK(equal((const void *)(at + TABLE_OEM_ID), "FIRECK", 6));
	return len;
}

struct acpi acpi_find(void)
{
	const uint64_t rsdp = read64(boot_params + BP_ACPI_RSDP_ADDR);
	struct acpi acpi = { 0 };
	uint64_t xsdt;
	uint32_t len;

	CHECK(rsdp);
	CHECK(equal((const void *)rsdp, "RSD PTR ", 8));
	CHECK_EQ(read8(rsdp + RSDP_REVISION), 2);
	CHECK_EQ(sum(rsdp, RSDP_V1_LEN), 0);
	CHECK_EQ(sum(rsdp, RSDP_LEN), 0);
	xsdt = read64(rsdp + RSDP_XSDT);
	len = check_table(xsdt, "XSDT");
	for (uint64_t at = xsdt + TABLE_HEADER_LEN; at + 8 <= xsdt + len; at += 8) {
		const uint64_t table = read64(at);

		if (equal((const void *)table, "FACP", 4))
			acpi.fadt = table;
		if (equal((const void *)table, "APIC", 4))
			acpi.madt = table;
	}
	CHECK(acpi.fadt && acpi.madt);
	acpi.fadt_len = check_table(acpi.fadt, "FACP");
	acpi.madt_len = check_table(acpi.madt, "APIC");
	CHECK(acpi.fadt_len >= 268);
	acpi.dsdt = read64(acpi.fadt + FADT_X_DSDT);
	acpi.dsdt_len = check_table(acpi.dsdt, "DSDT");
	return acpi;
}

struct acpi_gas acpi_fadt_gas(const struct acpi *acpi, unsigned offset)
{
	return *(const struct acpi_gas *)(acpi->fadt + offset);
}

void acpi_write(const struct acpi_gas *gas, uint8_t value)
{
	CHECK(gas->address);
	CHECK(gas->space == GAS_MEMORY || gas->space == GAS_IO);
	if (gas->space == GAS_IO)
		outb((uint16_t)gas->address, value);
	else
		write8(gas->address, value);
}
