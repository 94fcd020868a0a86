/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine exit=0 reason=guest-reset */
/* The FADT's reset register. */
#include "lib/acpi.h"

enum { FADT_RESET_REG = 116, FADT_RESET_VALUE = 128 };

void payload(void)
{
	const struct acpi acpi = acpi_find();
	const struct acpi_gas reg = acpi_fadt_gas(&acpi, FADT_RESET_REG);

	passed();
	acpi_write(&reg, read8(acpi.fadt + FADT_RESET_VALUE));
	hang();
}
