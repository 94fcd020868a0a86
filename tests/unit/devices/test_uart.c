/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/uart.h"

#include "test.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static struct uart *fresh(void)
{
	static struct uart u;

	uart_init(&u);
	return &u;
}

/* A register write that sends nothing; returns whether the line rose. */
static bool set(struct uart *u, uint64_t off, uint8_t v)
{
	CHECK(!uart_write(u, off, v));
	return uart_line_rose(u);
}

static uint8_t get(struct uart *u, uint64_t off)
{
	uint8_t v = uart_read(u, off);

	(void)!uart_line_rose(u);
	return v;
}

static bool send(struct uart *u, uint8_t v)
{
	CHECK(uart_write(u, THR, v));
	return uart_line_rose(u);
}

static bool receive(struct uart *u, unsigned n)
{
	CHECK(n <= uart_room(u));
	for (unsigned i = 0; i < n; i++)
		uart_rx_end(u)[i] = (uint8_t)('a' + i % 26);
	uart_received(u, n);
	return uart_line_rose(u);
}

TEST(power_on_registers)
{
	struct uart *u = fresh();
	static const uint8_t values[8] = { 0, 0, 0x01, 0, 0, 0x60, 0xb0, 0 };

	for (unsigned off = 0; off < 8; off++)
		CHECK_EQ(get(u, off), values[off]);
	CHECK(!uart_line_rose(u));
}

/* Every value of every register, against the bits that the chip keeps. */
TEST(registers_keep_their_bits)
{
	static const struct {
		uint8_t off, lcr, mask;
	} rows[] = {
		{ 0, 0x80, 0xff }, { 1, 0x80, 0xff }, { 1, 0x00, 0x0f }, { 3, 0x00, 0xff },
		{ 4, 0x00, 0x1f }, { 7, 0x00, 0xff }, { 7, 0x80, 0xff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned v = 0; v < 256; v++) {
			struct uart *u = fresh();

			set(u, LCR, rows[i].lcr);
			set(u, rows[i].off, (uint8_t)v);
			CHECK_EQ(get(u, rows[i].off), v & rows[i].mask);
		}
	}
}

TEST(status_registers_cannot_be_written)
{
	struct uart *u = fresh();

	set(u, LSR, 0xff);
	set(u, MSR, 0xff);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(get(u, MSR), 0xb0);
}

TEST(the_divisor_hides_data_and_enable)
{
	struct uart *u = fresh();

	set(u, IER, 0x05);
	receive(u, 1);
	set(u, LCR, 0x83);
	set(u, THR, 0x34);
	set(u, IER, 0x12);
	CHECK_EQ(get(u, RBR), 0x34);
	CHECK_EQ(get(u, IER), 0x12);
	set(u, LCR, 0x03);
	CHECK_EQ(get(u, IER), 0x05);
	CHECK_EQ(get(u, RBR), 'a');
}

/* What Linux' 8250 driver does to tell a 16550A from its relatives. */
TEST(linux_finds_a_16550a)
{
	struct uart *u = fresh();
	unsigned fifo = 0;

	set(u, IER, 0);
	CHECK_EQ(get(u, IER), 0);
	set(u, IER, 0x0f);
	CHECK_EQ(get(u, IER), 0x0f);
	set(u, IER, 0);
	set(u, MCR, 0x1a); /* loop, RTS, OUT2 */
	CHECK_EQ(get(u, MSR) & 0xf0, 0x90);
	set(u, MCR, 0);
	set(u, LCR, 0xbf);
	set(u, 2, 0);
	set(u, LCR, 0);
	set(u, FCR, 0x01);
	CHECK_EQ(get(u, IIR) >> 6, 3);
	set(u, LCR, 0x80);
	CHECK(get(u, 2) != 0); /* no EFR: not a 16650 */
	set(u, LCR, 0xbf);
	CHECK(get(u, 2) != 0);
	set(u, LCR, 0);
	set(u, FCR, 0x21);
	CHECK_EQ(get(u, IIR) & 0xe0, 0xc0); /* no 64-byte FIFO: not a 16750 */
	set(u, IER, 0x40);
	CHECK_EQ(get(u, IER), 0); /* no UUE: not an XScale */

	set(u, FCR, 0x07);
	set(u, MCR, 0x10);
	for (unsigned i = 0; i < 256; i++)
		set(u, THR, (uint8_t)i);
	while (get(u, LSR) & 1) {
		CHECK_EQ(get(u, RBR), fifo);
		fifo++;
	}
	CHECK_EQ(fifo, 16);
}

TEST(loopback_without_fifo_holds_one_byte)
{
	struct uart *u = fresh();

	set(u, MCR, 0x10);
	CHECK_EQ(uart_room(u), 0);
	set(u, THR, 'x');
	CHECK_EQ(get(u, LSR), 0x61);
	set(u, THR, 'y');
	CHECK_EQ(get(u, LSR), 0x63); /* overrun */
	CHECK_EQ(get(u, LSR), 0x61); /* told once */
	CHECK_EQ(get(u, RBR), 'x');
	CHECK_EQ(get(u, LSR), 0x60);
	set(u, MCR, 0);
	CHECK_EQ(uart_room(u), SERIAL_RX);
}

TEST(modem_lines_in_loopback)
{
	for (unsigned mcr = 0; mcr < 16; mcr++) {
		struct uart *u = fresh();
		uint8_t lines = (uint8_t)((mcr & 2 ? 0x10 : 0) | (mcr & 1 ? 0x20 : 0) |
					  (mcr & 4 ? 0x40 : 0) | (mcr & 8 ? 0x80 : 0));
		/* From DCD, DSR, CTS; RI tells of its trailing edge only. */
		uint8_t deltas = (uint8_t)((lines ^ 0xb0) >> 4 & ~4);

		set(u, MCR, (uint8_t)(0x10 | mcr));
		CHECK_EQ(get(u, MSR), lines | deltas);
		CHECK_EQ(get(u, MSR), lines);
		set(u, MCR, 0);
		CHECK_EQ(get(u, MSR), 0xb0 | deltas | (mcr & 4));
	}
}

TEST(modem_interrupt)
{
	struct uart *u = fresh();

	set(u, IER, 0x08);
	CHECK(set(u, MCR, 0x10));
	CHECK_EQ(get(u, IIR), 0x00);
	CHECK_EQ(get(u, MSR), 0x0b);
	CHECK_EQ(get(u, IIR), 0x01);
}

TEST(a_break_in_loopback_is_a_line_error)
{
	struct uart *u = fresh();

	set(u, FCR, 0x01);
	set(u, LCR, 0x40); /* to the host it means nothing */
	CHECK_EQ(get(u, LSR), 0x60);
	set(u, LCR, 0);
	set(u, MCR, 0x10);
	set(u, IER, 0x04);
	CHECK(set(u, LCR, 0x40));
	CHECK_EQ(get(u, IIR), 0xc6);
	CHECK(!set(u, LCR, 0x43)); /* goes on: no second one */
	CHECK_EQ(get(u, LSR), 0xf1);
	CHECK_EQ(get(u, IIR), 0xc1);
	CHECK_EQ(get(u, LSR), 0x61);
	CHECK_EQ(get(u, RBR), 0);
	CHECK_EQ(get(u, LSR), 0x60);
}

TEST(interrupts_by_priority)
{
	struct uart *u = fresh();

	set(u, MCR, 0x10);
	set(u, THR, 1);
	set(u, THR, 2); /* overrun */
	CHECK_EQ(get(u, IIR), 0x01);
	CHECK(set(u, IER, 0x0f));
	CHECK_EQ(get(u, IIR), 0x06);
	CHECK_EQ(get(u, IIR), 0x06); /* reading IIR does not end it, reading LSR does */
	CHECK_EQ(get(u, LSR), 0x63);
	CHECK_EQ(get(u, IIR), 0x04);
	CHECK_EQ(get(u, RBR), 1);
	CHECK_EQ(get(u, IIR), 0x02);
	CHECK_EQ(get(u, IIR), 0x00); /* that one ends by being read */
	(void)get(u, MSR);
	CHECK_EQ(get(u, IIR), 0x01);
}

TEST(every_trigger_level_has_both_sides)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	for (unsigned i = 0; i < ARRAY_SIZE(level); i++) {
		struct uart *u = fresh();

		set(u, FCR, (uint8_t)(i << 6 | 1));
		set(u, IER, 0x01);
		if (level[i] > 1) {
			CHECK(receive(u, level[i] - 1));
			CHECK_EQ(get(u, IIR), 0xcc); /* few bytes: timeout */
			CHECK(!receive(u, 1));
		} else {
			CHECK(receive(u, 1));
		}
		CHECK_EQ(get(u, IIR), 0xc4);
	}
}

TEST(fifo_control)
{
	struct uart *u = fresh();

	receive(u, 3);
	set(u, FCR, 0x02); /* no enable: ignored */
	CHECK_EQ(get(u, LSR), 0x61);
	set(u, FCR, 0x01); /* a change of mode clears */
	CHECK_EQ(get(u, LSR), 0x60);
	receive(u, 3);
	set(u, FCR, 0x05); /* clears the transmitter only */
	CHECK_EQ(get(u, LSR), 0x61);
	set(u, FCR, 0x03);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(get(u, RBR), 0);
	receive(u, 3);
	set(u, FCR, 0x00);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(get(u, IIR), 0x01);
}

/* The two questions Linux asks at start-up, and whose wrong answers cost it a timer. */
TEST(thre_comes_back_with_each_enable)
{
	struct uart *u = fresh();

	for (unsigned i = 0; i < 3; i++) {
		CHECK(set(u, IER, 0x02));
		CHECK_EQ(get(u, IIR), 0x02);
		CHECK_EQ(get(u, IIR), 0x01);
		CHECK(!set(u, IER, 0x02)); /* no change: no interrupt */
		set(u, IER, 0x00);
		CHECK_EQ(get(u, IIR), 0x01);
	}
	set(u, IER, 0x02);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(get(u, IIR), 0x02); /* reading LSR did not end it */
}

/* Linux' handler: reads IIR, writes up to 16 bytes, asks IIR again until it says none. */
TEST(a_driver_that_drains_on_thre_never_stalls)
{
	struct uart *u = fresh();
	unsigned left = 1000;
	unsigned rounds = 0;
	bool edge;

	set(u, FCR, 0x01);
	edge = set(u, IER, 0x02);
	while (left > 0) {
		CHECK(edge); /* else nothing would call the handler again */
		edge = false;
		while (left > 0 && (get(u, IIR) & 0x0f) == 0x02)
			for (unsigned i = 0; i < 16 && left > 0; i++, left--)
				edge |= send(u, (uint8_t)left);
		CHECK(++rounds < 1000);
	}
	set(u, IER, 0);
	CHECK_EQ(get(u, IIR), 0xc1);
}

TEST(a_driver_that_never_reads_iir_gets_an_edge_for_each_byte)
{
	struct uart *u = fresh();

	CHECK(set(u, IER, 0x02));
	for (unsigned i = 0; i < 100; i++)
		CHECK(send(u, (uint8_t)i));
	set(u, IER, 0);
	CHECK(!send(u, 'x'));
}

TEST(a_driver_that_takes_one_byte_an_interrupt_gets_the_next)
{
	struct uart *u = fresh();

	set(u, IER, 0x01);
	CHECK(receive(u, 3));
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(uart_read(u, RBR), 'a' + i);
		CHECK(uart_line_rose(u));
	}
	CHECK_EQ(uart_read(u, RBR), 'c');
	CHECK(!uart_line_rose(u));
	CHECK(receive(u, 1));
}

TEST(the_line_stays_up_while_the_fifo_holds_bytes)
{
	struct uart *u = fresh();

	set(u, FCR, 0x01);
	set(u, IER, 0x01);
	CHECK(receive(u, 2));
	CHECK(!receive(u, 1));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(uart_read(u, RBR), 'a' + (i == 2 ? 0 : i));
		CHECK(!uart_line_rose(u));
	}
	CHECK(receive(u, 1)); /* it had fallen */
}

TEST(the_receiver_is_bounded)
{
	struct uart *u = fresh();

	set(u, FCR, 0x01);
	receive(u, SERIAL_RX);
	CHECK_EQ(uart_room(u), 0);
	for (unsigned i = 0; i < SERIAL_RX; i++)
		CHECK_EQ(get(u, RBR), 'a' + i % 26);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(uart_room(u), SERIAL_RX);
}

TEST(loading_checks_each_field)
{
	struct uart *u = fresh();
	static const struct serial_state wrong[] = {
		{ .nrx = SERIAL_RX + 1 }, { .ier = 0x10 },	  { .mcr = 0x20 },
		{ .fcr = 0x02 },	  { .lsr_errors = 0x04 }, { .msr_deltas = 0x10 },
		{ .thre_pending = 2 },
	};
	static const struct serial_state right = {
		.nrx = SERIAL_RX,
		.ier = 0x0f,
		.mcr = 0x1f,
		.fcr = 0xc1,
		.lsr_errors = 0x12,
		.msr_deltas = 0x0f,
		.thre_pending = 1,
		.lcr = 0xff,
		.scr = 0xff,
		.dll = 0xff,
		.dlm = 0xff,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_EQ(uart_load(u, &wrong[i]), -EINVAL);
	CHECK_EQ(get(u, LSR), 0x60);
	CHECK_EQ(uart_load(u, &right), 0);
	CHECK(uart_line_rose(u));
	CHECK(memcmp(&u->s, &right, sizeof(right)) == 0);
}
