/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Says READY, then gives back each character it gets; for `!' 16 KiB that end in "DONE",
 * which the port's ring has room for, and Ctrl+Alt+Del ends it.
 */
#include "lib/payload.h"

enum { COM1 = 0x3f8, DATA = 0, LSR = 5, LSR_DATA = 0x01 };
enum { LINE = 64, BLOCK = 16 << 10 };

static const char end[] = "DONE\n";

/* Many bytes an exit, or it would take minutes where each costs tens of microseconds. */
static void write_block(const uint8_t *data, unsigned long n)
{
	__asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"(COM1 + DATA) : "memory");
}

static void put_much(void)
{
	static uint8_t block[BLOCK];

	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = i % LINE == LINE - 1 ? '\n' : '.';
	for (unsigned i = 0; i < sizeof(end) - 1; i++)
		block[BLOCK - (sizeof(end) - 1) + i] = (uint8_t)end[i];
	write_block(block, BLOCK);
}

void payload(void)
{
	host_listen();
	put("READY\n");
	while (!host_pressed()) {
		uint8_t c;

		if (!(inb(COM1 + LSR) & LSR_DATA))
			continue;
		c = inb(COM1 + DATA);
		if (c == '!')
			put_much();
		else
			outb(COM1 + DATA, c);
	}
	put("BYE\n");
}
