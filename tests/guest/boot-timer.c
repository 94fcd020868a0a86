/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot args=--boot-timer log=Guest-boot-time */
/* Writing 123 at the timer's address is logged with the time since the start. */
#include "lib/payload.h"

void payload(void)
{
	CHECK_EQ(read8(0xc0000000), 0);
	write8(0xc0000000, 123);
}
