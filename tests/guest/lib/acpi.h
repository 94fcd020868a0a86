/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables as a guest finds them: ACPI 6.5, sections 5.2.5 to 5.2.12. */
#pragma once

#include "payload.h"

enum { GAS_MEMORY = 0, GAS_IO = 1 };

struct acpi_gas {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));

struct acpi {
	uint64_t fadt, madt, dsdt;
	uint32_t fadt_len, madt_len, dsdt_len;
};

/* Walks from boot_params down; every signature, length and checksum is checked. */
struct acpi acpi_find(void);

struct acpi_gas acpi_fadt_gas(const struct acpi *acpi, unsigned offset);
void acpi_write(const struct acpi_gas *gas, uint8_t value);
