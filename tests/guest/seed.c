/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot */
/* The boot loader's seed for the kernel's random generator: one node of setup_data. */
#include "lib/payload.h"

enum { BP_SETUP_DATA = 0x250, SETUP_RNG_SEED = 9, SEED = 32 };

void payload(void)
{
	const uint64_t node = read64(boot_params + BP_SETUP_DATA);
	uint8_t set = 0;

	CHECK(node);
	CHECK_EQ(read64(node), 0); /* the only one */
	CHECK_EQ(read32(node + 8), SETUP_RNG_SEED);
	CHECK_EQ(read32(node + 12), SEED);
	for (unsigned i = 0; i < SEED; i++)
		set |= read8(node + 16 + i);
	CHECK(set);
	put("SEED ");
	put_hex(read64(node + 16));
	put("\n");
}
