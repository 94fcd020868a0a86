/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none args=--boot-timer */
/* Reaches every stage of a boot, says TIMED and rests. */
#include "lib/payload.h"

void payload(void)
{
	write8(0xc0000000, 123);
	put("TIMED\n");
	hang();
}
