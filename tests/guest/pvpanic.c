/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine log="has panicked" */
/* pvpanic: it says which events it knows, and a report ends nothing. */
#include "lib/payload.h"

enum { PVPANIC = 0x505, PANICKED = 1, CRASH_LOADED = 2, REPORTS = 1000 };

void payload(void)
{
	CHECK_EQ(inb(PVPANIC), PANICKED | CRASH_LOADED);
	for (unsigned i = 0; i < REPORTS; i++)
		outb(PVPANIC, PANICKED);
	CHECK_EQ(inb(PVPANIC), PANICKED | CRASH_LOADED);
}
