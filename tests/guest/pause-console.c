/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Sends numbers out by the UART, one after the other, as fast as the host lets it: one that
 * is lost or sent twice is seen there. Until the host presses Ctrl+Alt+Del.
 */
#include "lib/payload.h"

void payload(void)
{
	uint64_t n = 0;

	host_listen();
	put("READY\n");
	while (!host_pressed()) {
		put("N ");
		put_hex(n++);
		put("\n");
	}
	put("ROUNDS ");
	put_hex(n);
	put("\n");
}
