/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=serial */
/* The UART's registers by polling: divisor latch, scratch, line status, loop-back. */
#include "lib/payload.h"

enum { COM1 = 0x3f8, DATA = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { LCR_8N1 = 0x03, LCR_DLAB = 0x80, MCR_LOOP = 0x10, LSR_DATA = 0x01, LSR_EMPTY = 0x60 };

static void divisor_latch(void)
{
	outb(COM1 + LCR, LCR_8N1 | LCR_DLAB);
	outb(COM1 + DATA, 0x34);
	outb(COM1 + IER, 0x12);
	CHECK_EQ(inb(COM1 + DATA), 0x34);
	CHECK_EQ(inb(COM1 + IER), 0x12);
	outb(COM1 + LCR, LCR_8N1);
	CHECK_EQ(inb(COM1 + LCR), LCR_8N1);
	/* The latch and what it hides are two registers. */
	CHECK_EQ(inb(COM1 + IER), 0);
}

static void loop_back(void)
{
	const uint64_t start = rdtsc();

	outb(COM1 + MCR, MCR_LOOP);
	outb(COM1 + DATA, 0x5a);
	while (!(inb(COM1 + LSR) & LSR_DATA))
		CHECK(patient(start));
	CHECK_EQ(inb(COM1 + DATA), 0x5a);
	CHECK_EQ(inb(COM1 + LSR) & LSR_DATA, 0);
	outb(COM1 + MCR, 0);
}

void payload(void)
{
	CHECK_EQ(inb(COM1 + LSR) & LSR_EMPTY, LSR_EMPTY);
	for (unsigned v = 0; v < 256; v += 51) {
		outb(COM1 + SCR, (uint8_t)v);
		CHECK_EQ(inb(COM1 + SCR), v);
	}
	divisor_latch();
	loop_back();
	/* Only four interrupt causes exist. */
	outb(COM1 + IER, 0xff);
	CHECK_EQ(inb(COM1 + IER) & 0xf0, 0);
	outb(COM1 + IER, 0);
	CHECK_EQ(inb(COM1 + IIR) & 1, 1);
}
