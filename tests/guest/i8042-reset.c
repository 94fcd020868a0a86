/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine exit=0 reason=guest-reset */
/* The keyboard controller: status, command byte, and the reset line ends the machine. */
#include "lib/payload.h"

enum { DATA = 0x60, COMMAND = 0x64, STATUS_OUT_FULL = 1, STATUS_IN_FULL = 2 };

void payload(void)
{
	CHECK_EQ(inb(COMMAND) & (STATUS_OUT_FULL | STATUS_IN_FULL), 0);
	outb(COMMAND, 0x60); /* write the command byte */
	outb(DATA, 0x74);
	outb(COMMAND, 0x20); /* read it */
	CHECK_EQ(inb(COMMAND) & STATUS_OUT_FULL, STATUS_OUT_FULL);
	CHECK_EQ(inb(DATA), 0x74);
	CHECK_EQ(inb(COMMAND) & STATUS_OUT_FULL, 0);
}
