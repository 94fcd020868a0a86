/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Says READY and never leaves the processor again: no exit, no interrupt. */
#include "lib/payload.h"

void payload(void)
{
	put("READY\n");
	for (;;)
		__asm__ volatile("");
}
