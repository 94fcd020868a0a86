/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power-off and reset of a hardware-reduced ACPI machine: the sleep control and
 * status registers (ACPI 6.5, 4.8.3.7) and the reset register (4.8.3.6) on ports.
 * The FADT names base + each offset, the reset value, and \_S5 the sleep type.
 *
 * Has no state, so it needs no lock and nothing of it is saved.
 */
#pragma once

#include "devices/bus.h"
#include "devices/end.h"

enum { /* offsets, one byte each */
       ACPI_POWER_SLEEP_CONTROL = 0,
       ACPI_POWER_SLEEP_STATUS = 1,
       ACPI_POWER_RESET = 2,
       ACPI_POWER_SIZE = 4,
};

enum {
	ACPI_POWER_S5 = 5,	    /* SLP_TYP of \_S5 */
	ACPI_POWER_RESET_VALUE = 1, /* RESET_VALUE of the FADT */
};

struct acpi_power {
	struct bus_dev dev; /* ports, ACPI_POWER_SIZE */
	struct end_request *end;
};

void acpi_power_init(struct acpi_power *p, struct end_request *end);
