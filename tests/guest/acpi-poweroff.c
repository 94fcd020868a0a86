/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine exit=0 reason=guest-poweroff */
/* Sleep type of _S5 into the sleep control register, as hardware-reduced ACPI has it. */
#include "lib/acpi.h"

enum { FADT_SLEEP_CONTROL = 244, FADT_SLEEP_STATUS = 256, SLP_EN = 1 << 5 };
enum { AML_PACKAGE = 0x12, AML_BYTE = 0x0a };

static uint64_t find_s5(const struct acpi *acpi)
{
	for (uint32_t i = 0; i + 10 <= acpi->dsdt_len; i++) {
		if (equal((const void *)(acpi->dsdt + i), "_S5_", 4))
			return acpi->dsdt + i + 4;
	}
	fail(__FILE__, __LINE__, "no _S5 in the DSDT");
}

/* The first element of the package: ZeroOp, OneOp or a byte. */
static uint8_t sleep_type(uint64_t aml)
{
	CHECK_EQ(read8(aml), AML_PACKAGE);
	aml += 2 + (read8(aml + 1) >> 6); /* PkgLength says how many bytes of it follow */
	aml++;				  /* number of elements */
	return read8(aml) == AML_BYTE ? read8(aml + 1) : read8(aml);
}

void payload(void)
{
	const struct acpi acpi = acpi_find();
	const struct acpi_gas control = acpi_fadt_gas(&acpi, FADT_SLEEP_CONTROL);
	const struct acpi_gas status = acpi_fadt_gas(&acpi, FADT_SLEEP_STATUS);
	const uint8_t type = sleep_type(find_s5(&acpi));

	CHECK(type <= 7);
	CHECK(status.address);
	/* Another sleep type is not a power off. */
	acpi_write(&control, (uint8_t)((type ^ 1) << 2 | SLP_EN));
	passed();
	acpi_write(&control, (uint8_t)(type << 2 | SLP_EN));
	hang();
}
