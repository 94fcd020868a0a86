/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/* Counts on the console for ever: whether it runs can be seen. */
#include "lib/payload.h"

void payload(void)
{
	for (uint64_t n = 0;; n++) {
		put_hex(n);
		put("\n");
		for (unsigned i = 0; i < 5000; i++)
			__asm__ volatile("pause");
	}
}
