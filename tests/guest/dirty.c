/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none */
/*
 * Writes to each page of as many MiB as `dirty=N' on the command line says, from 16 MiB on,
 * says READY and counts on the console for ever.
 */
#include "lib/payload.h"

enum { PAGE = 4096 };

void payload(void)
{
	const uint64_t from = UINT64_C(16) << 20, size = cmdline_number("dirty") << 20;

	for (uint64_t at = from; at < from + size; at += PAGE)
		write64(at, at + 1);
	put("READY\n");
	for (uint64_t n = 0;; n++) {
		put_hex(n);
		put("\n");
		for (unsigned i = 0; i < 5000; i++)
			__asm__ volatile("pause");
	}
}
