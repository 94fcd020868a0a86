/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/acpi_power.h"
#include "port.h"

static struct end_request end;
static struct acpi_power power;

static struct bus_dev *fresh(void)
{
	CHECK_EQ(end_request_init(&end), 0);
	acpi_power_init(&power, &end);
	return &power.dev;
}

/* Every value of the sleep control register; bits outside type and enable do not matter. */
TEST(only_s5_with_enable_powers_off)
{
	for (unsigned v = 0; v < 256; v++) {
		struct bus_dev *dev = fresh();
		bool off = (v & 0x20) && (v >> 2 & 7) == 5;

		out8(dev, ACPI_POWER_SLEEP_CONTROL, (uint8_t)v);
		CHECK_EQ(end_requested(&end), off ? END_GUEST_POWEROFF : END_NONE);
		CHECK_EQ(in8(dev, ACPI_POWER_SLEEP_CONTROL), 0);
		end_request_fini(&end);
	}
}

TEST(only_the_reset_value_resets)
{
	for (unsigned v = 0; v < 256; v++) {
		struct bus_dev *dev = fresh();

		out8(dev, ACPI_POWER_RESET, (uint8_t)v);
		CHECK_EQ(end_requested(&end), v == 1 ? END_GUEST_RESET : END_NONE);
		end_request_fini(&end);
	}
}

TEST(the_status_register_says_and_does_nothing)
{
	struct bus_dev *dev = fresh();

	for (unsigned v = 0; v < 256; v++)
		out8(dev, ACPI_POWER_SLEEP_STATUS, (uint8_t)v);
	for (unsigned v = 0; v < 256; v++)
		out8(dev, 3, (uint8_t)v);
	CHECK_EQ(in8(dev, ACPI_POWER_SLEEP_STATUS), 0);
	CHECK_EQ(end_requested(&end), END_NONE);
}

TEST(wide_accesses_do_nothing)
{
	static const uint8_t poweroff[4] = { 0x34, 0, 1, 0 };
	struct bus_dev *dev = fresh();

	port_hammer_widths(dev, ACPI_POWER_SIZE);
	dev->class->write(dev, 0, poweroff, 4);
	dev->class->write(dev, 2, poweroff + 2, 2);
	CHECK_EQ(end_requested(&end), END_NONE);
	out8(dev, ACPI_POWER_SLEEP_CONTROL, poweroff[0]);
	CHECK_EQ(end_requested(&end), END_GUEST_POWEROFF);
}
