/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/i8042.h"

#include "port.h"

enum { DATA = 0, COMMAND = 4, FULL = 1 };

static struct end_request end;
static struct i8042 ctl;
static struct irq irq;

static struct bus_dev *fresh(void)
{
	irq = irq_for_test();
	CHECK_EQ(end_request_init(&end), 0);
	i8042_init(&ctl, irq, &end);
	return &ctl.dev;
}

/* Checks that exactly these bytes wait, and takes them. */
static void expect(struct bus_dev *dev, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		CHECK(in8(dev, COMMAND) & FULL);
		CHECK_EQ(in8(dev, DATA), bytes[i]);
	}
	CHECK(!(in8(dev, COMMAND) & FULL));
}

#define EXPECT(dev, ...) \
	expect(dev, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void set_command_byte(struct bus_dev *dev, uint8_t v)
{
	out8(dev, COMMAND, 0x60);
	out8(dev, DATA, v);
}

TEST(power_on_state)
{
	struct bus_dev *dev = fresh();

	CHECK_EQ(in8(dev, COMMAND), 0x14); /* system flag, not locked, empty */
	CHECK_EQ(in8(dev, DATA), 0);
	out8(dev, COMMAND, 0x20);
	EXPECT(dev, 0x05);
	out8(dev, COMMAND, 0xd0);
	EXPECT(dev, 0x03);
	out8(dev, COMMAND, 0xc0);
	EXPECT(dev, 0x80);
}

TEST(controller_commands)
{
	struct bus_dev *dev = fresh();

	set_command_byte(dev, 0x74);
	out8(dev, COMMAND, 0x20);
	EXPECT(dev, 0x74);
	out8(dev, COMMAND, 0xae);
	out8(dev, COMMAND, 0xa7);
	out8(dev, COMMAND, 0x20);
	EXPECT(dev, 0x64);
	out8(dev, COMMAND, 0xad);
	out8(dev, COMMAND, 0xa8);
	out8(dev, COMMAND, 0x20);
	EXPECT(dev, 0x54);
	out8(dev, COMMAND, 0xaa);
	EXPECT(dev, 0x55);
	out8(dev, COMMAND, 0xab);
	EXPECT(dev, 0x00);
	out8(dev, COMMAND, 0xd2);
	out8(dev, DATA, 0x7e);
	EXPECT(dev, 0x7e);
	out8(dev, COMMAND, 0xd1);
	out8(dev, DATA, 0xdd);
	out8(dev, COMMAND, 0xd0);
	EXPECT(dev, 0x01);
	out8(dev, COMMAND, 0xee); /* nobody's */
	CHECK(!(in8(dev, COMMAND) & FULL));
	CHECK_EQ(end_requested(&end), END_NONE);
}

TEST(a_ram_write_takes_its_byte_from_the_keyboard)
{
	struct bus_dev *dev = fresh();

	for (unsigned cmd = 0x61; cmd < 0x80; cmd++) {
		out8(dev, COMMAND, (uint8_t)cmd);
		out8(dev, DATA, 0xee); /* would be echoed by the keyboard */
		CHECK(!(in8(dev, COMMAND) & FULL));
	}
	out8(dev, COMMAND, 0xd4);
	out8(dev, DATA, 0xee);
	CHECK(!(in8(dev, COMMAND) & FULL));
	out8(dev, DATA, 0xee);
	EXPECT(dev, 0xee);
}

/* What Linux does to find an aux port: it must see that there is none, at once. */
TEST(no_aux_port_is_found)
{
	struct bus_dev *dev = fresh();

	out8(dev, COMMAND, 0xd3);
	out8(dev, DATA, 0x5a);
	CHECK_EQ(in8(dev, COMMAND) & 0x21, FULL); /* a reply, not from aux */
	out8(dev, COMMAND, 0xa9);
	EXPECT(dev, 0x01);
}

TEST(pulses_of_the_reset_line_end_the_machine)
{
	for (unsigned cmd = 0xf0; cmd < 0x100; cmd++) {
		struct bus_dev *dev = fresh();

		out8(dev, COMMAND, (uint8_t)cmd);
		CHECK_EQ(end_requested(&end), cmd & 1 ? END_NONE : END_GUEST_RESET);
		CHECK_EQ(counter_get(&ctl.metrics.reset_count), !(cmd & 1));
		end_request_fini(&end);
		close(irq.fd);
	}
}

TEST(the_output_port_resets_with_bit_0_low)
{
	struct bus_dev *dev = fresh();

	out8(dev, COMMAND, 0xd1);
	out8(dev, DATA, 0x03);
	CHECK_EQ(end_requested(&end), END_NONE);
	out8(dev, COMMAND, 0xd1);
	out8(dev, DATA, 0x02);
	CHECK_EQ(end_requested(&end), END_GUEST_RESET);
}

TEST(keyboard_commands)
{
	static const uint8_t with_argument[] = { 0xed, 0xf3, 0xf0 };
	static const uint8_t plain[] = { 0xf4, 0xf5, 0xf6 };
	struct bus_dev *dev = fresh();

	for (unsigned i = 0; i < ARRAY_SIZE(with_argument); i++) {
		out8(dev, DATA, with_argument[i]);
		EXPECT(dev, 0xfa);
		out8(dev, DATA, 0x02);
		EXPECT(dev, 0xfa);
		out8(dev, DATA, 0x02); /* no command: not understood */
		EXPECT(dev, 0xfe);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
		out8(dev, DATA, plain[i]);
		EXPECT(dev, 0xfa);
	}
	out8(dev, DATA, 0xff);
	EXPECT(dev, 0xfa, 0xaa);
	out8(dev, DATA, 0xf2);
	EXPECT(dev, 0xfa, 0xab, 0x83);
	out8(dev, DATA, 0xee);
	EXPECT(dev, 0xee);
	out8(dev, DATA, 0xf0);
	out8(dev, DATA, 0x00);
	EXPECT(dev, 0xfa, 0xfa, 0x02);
	out8(dev, DATA, 0xed);
	out8(dev, DATA, 0x7f); /* the largest argument, and the smallest command */
	EXPECT(dev, 0xfa, 0xfa);
	out8(dev, DATA, 0xed);
	out8(dev, DATA, 0x80);
	EXPECT(dev, 0xfa, 0xfe);
	out8(dev, DATA, 0xed);
	out8(dev, DATA, 0xf2); /* a command where the argument should be */
	EXPECT(dev, 0xfa, 0xfa, 0xab, 0x83);
	out8(dev, DATA, 0x02);
	EXPECT(dev, 0xfe);
}

TEST(translation_follows_the_command_byte)
{
	struct bus_dev *dev = fresh();

	set_command_byte(dev, 0x45);
	out8(dev, DATA, 0xf2);
	EXPECT(dev, 0xfa, 0xab, 0x41);
	out8(dev, DATA, 0xf0);
	out8(dev, DATA, 0x00);
	EXPECT(dev, 0xfa, 0xfa, 0x41);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), 0);
	EXPECT(dev, 0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d);
}

TEST(ctrl_alt_del_is_pressed_and_released)
{
	struct bus_dev *dev = fresh();

	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -ENODEV); /* nobody has looked at the device */
	CHECK_EQ(in8(dev, COMMAND), 0x14);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), 0);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -EAGAIN); /* no half sequence */
	EXPECT(dev, 0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), 0);
	for (unsigned i = 0; i < 11; i++)
		(void)in8(dev, DATA);
	CHECK_EQ(counter_get(&ctl.metrics.error_count), 0);
}

/* Both sides of the limit: 5 bytes may wait, 6 may not. */
TEST(ctrl_alt_del_needs_room_for_all_of_it)
{
	struct bus_dev *dev = fresh();

	for (unsigned i = 0; i < 6; i++)
		out8(dev, DATA, 0xee);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -EAGAIN);
	(void)in8(dev, DATA);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), 0);
	CHECK_EQ(counter_get(&ctl.metrics.error_count), 0);
}

TEST(ctrl_alt_del_says_when_nobody_listens)
{
	struct bus_dev *dev = fresh();

	set_command_byte(dev, 0x04); /* no interrupt */
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -ENODEV);
	set_command_byte(dev, 0x15); /* keyboard disabled */
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -ENODEV);
	set_command_byte(dev, 0x05);
	out8(dev, DATA, 0xf5); /* keyboard told to be silent */
	EXPECT(dev, 0xfa);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), -ENODEV);
	out8(dev, DATA, 0xf4);
	EXPECT(dev, 0xfa);
	CHECK_EQ(i8042_ctrl_alt_del(&ctl), 0);
}

TEST(the_buffer_is_bounded)
{
	struct bus_dev *dev = fresh();

	for (unsigned i = 0; i < 1000; i++)
		out8(dev, DATA, 0xee);
	CHECK_EQ(counter_get(&ctl.metrics.error_count), 1000 - I8042_BUFFER);
	for (unsigned i = 0; i < I8042_BUFFER; i++) {
		CHECK(in8(dev, COMMAND) & FULL);
		CHECK_EQ(in8(dev, DATA), 0xee);
	}
	CHECK(!(in8(dev, COMMAND) & FULL));
	CHECK_EQ(in8(dev, DATA), 0);
}

TEST(a_test_clears_the_buffer)
{
	struct bus_dev *dev = fresh();

	for (unsigned i = 0; i < I8042_BUFFER; i++)
		out8(dev, DATA, 0xee);
	out8(dev, COMMAND, 0xaa);
	EXPECT(dev, 0x55);
}

TEST(one_interrupt_for_each_byte)
{
	struct bus_dev *dev = fresh();

	CHECK_EQ(irq_count(irq), 0);
	out8(dev, DATA, 0xf2);
	CHECK_EQ(irq_count(irq), 1);
	CHECK_EQ(in8(dev, DATA), 0xfa);
	CHECK_EQ(irq_count(irq), 1);
	CHECK_EQ(in8(dev, DATA), 0xab);
	CHECK_EQ(irq_count(irq), 1);
	CHECK_EQ(in8(dev, DATA), 0x83);
	CHECK_EQ(irq_count(irq), 0);
	CHECK_EQ(in8(dev, DATA), 0);
	CHECK_EQ(irq_count(irq), 0);
}

TEST(enabling_the_interrupt_raises_what_waits)
{
	struct bus_dev *dev = fresh();

	set_command_byte(dev, 0x04);
	out8(dev, DATA, 0xee);
	CHECK_EQ(irq_count(irq), 0);
	set_command_byte(dev, 0x05);
	CHECK_EQ(irq_count(irq), 1);
	set_command_byte(dev, 0x05);
	CHECK_EQ(irq_count(irq), 0);
}

TEST(only_bytes_at_two_ports_count)
{
	struct bus_dev *dev = fresh();

	port_hammer_widths(dev, I8042_PORT_SIZE);
	for (uint64_t off = 1; off < 4; off++) {
		out8(dev, off, 0xfe);
		CHECK_EQ(in8(dev, off), 0);
	}
	CHECK_EQ(end_requested(&end), END_NONE);
	CHECK_EQ(counter_get(&ctl.metrics.missed_read_count), 3 + 4 + 2);
	CHECK_EQ(counter_get(&ctl.metrics.missed_write_count), 3 + 4 + 2);
	CHECK_EQ(counter_get(&ctl.metrics.read_count), 0);
	CHECK_EQ(counter_get(&ctl.metrics.write_count), 0);
}

TEST(a_saved_state_goes_on_where_it_was)
{
	struct bus_dev *dev = fresh();
	struct i8042_state saved, again;

	out8(dev, DATA, 0xed); /* waits for its argument */
	out8(dev, COMMAND, 0x60);
	i8042_save(&ctl, &saved);
	i8042_fini(&ctl);
	dev = fresh();
	CHECK_EQ(i8042_load(&ctl, &saved), 0);
	CHECK_EQ(irq_count(irq), 1);
	i8042_save(&ctl, &again);
	CHECK(memcmp(&saved, &again, sizeof(saved)) == 0);
	out8(dev, DATA, 0x45);
	out8(dev, DATA, 0x01);
	EXPECT(dev, 0xfa, 0xfa);
	out8(dev, COMMAND, 0x20);
	EXPECT(dev, 0x45);
	i8042_fini(&ctl);
}

TEST(a_wrong_state_is_refused)
{
	struct i8042_state s;

	fresh();
	i8042_save(&ctl, &s);
	s.nbuffer = I8042_BUFFER;
	CHECK_EQ(i8042_load(&ctl, &s), 0);
	s.nbuffer = I8042_BUFFER + 1;
	CHECK_EQ(i8042_load(&ctl, &s), -EINVAL);
	s.nbuffer = 0;
	s.scanning = 2;
	CHECK_EQ(i8042_load(&ctl, &s), -EINVAL);
	s.scanning = 1;
	s.used = 2;
	CHECK_EQ(i8042_load(&ctl, &s), -EINVAL);
}
