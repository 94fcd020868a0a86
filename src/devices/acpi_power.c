/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/acpi_power.h"

#include <string.h>

/* Fields of the sleep control register. */
enum { SLP_TYP_SHIFT = 2, SLP_TYP_MASK = 7, SLP_EN = 1 << 5 };

static void power_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	(void)dev;
	(void)off;
	memset(data, 0, len); /* SLP_EN reads as zero, and WAK_STS is never set: we do not wake */
}

static void power_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct acpi_power *p = container_of(dev, struct acpi_power, dev);
	uint8_t v = *(const uint8_t *)data;

	if (len != 1)
		return;
	if (off == ACPI_POWER_SLEEP_CONTROL && (v & SLP_EN) &&
	    (v >> SLP_TYP_SHIFT & SLP_TYP_MASK) == ACPI_POWER_S5)
		end_request(p->end, END_GUEST_POWEROFF);
	else if (off == ACPI_POWER_RESET && v == ACPI_POWER_RESET_VALUE)
		end_request(p->end, END_GUEST_RESET);
}

static const struct bus_class power_class = {
	.name = "acpi-power",
	.read = power_read,
	.write = power_write,
};

void acpi_power_init(struct acpi_power *p, struct end_request *end)
{
	*p = (struct acpi_power){ .dev.class = &power_class, .end = end };
}
