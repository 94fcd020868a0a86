/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Counts through the UART, looped back upon itself: each port write puts one number in
 * and each port read takes one out, so an access that is lost, done twice or answered
 * wrongly is seen at once. Until the host presses Ctrl+Alt+Del.
 */
#include "lib/payload.h"

enum { COM1 = 0x3f8, DATA = 0, FCR = 2, MCR = 4, LSR = 5, SCR = 7 };
enum { FCR_ENABLE_AND_CLEAR = 0x07, MCR_LOOP = 0x10, LSR_DATA = 0x01 };
enum { DEPTH = 16 };

/* Reports go out over the same UART: not looped back for them. */
static void check(bool good, const char *what, uint64_t is, uint64_t should)
{
	if (good)
		return;
	outb(COM1 + MCR, 0);
	fail_values(__FILE__, __LINE__, what, is, should);
}

static uint8_t pass_through(uint8_t n)
{
	for (unsigned i = 0; i < DEPTH; i++)
		outb(COM1 + DATA, (uint8_t)(n + i));
	for (unsigned i = 0; i < DEPTH; i++) {
		const uint8_t status = inb(COM1 + LSR), is = inb(COM1 + DATA);

		check(status & LSR_DATA, "the line status", status, LSR_DATA);
		check(is == (uint8_t)(n + i), "the number", is, (uint8_t)(n + i));
	}
	check(!(inb(COM1 + LSR) & LSR_DATA), "a number too many", inb(COM1 + DATA), 0);
	return (uint8_t)(n + DEPTH);
}

void payload(void)
{
	uint64_t rounds = 0;
	uint8_t n = 1;

	host_listen();
	put("READY\n");
	outb(COM1 + FCR, FCR_ENABLE_AND_CLEAR);
	outb(COM1 + MCR, MCR_LOOP);
	while (!host_pressed()) {
		n = pass_through(n);
		outb(COM1 + SCR, n);
		check(inb(COM1 + SCR) == n, "the scratch register", inb(COM1 + SCR), n);
		rounds++;
	}
	outb(COM1 + MCR, 0);
	CHECK(rounds > 0);
	put("ROUNDS ");
	put_hex(rounds);
	put("\n");
}
