/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Says READY and rests: the guest of tests that look at the monitor. */
#include "lib/payload.h"

void payload(void)
{
	put("READY\n");
	hang();
}
