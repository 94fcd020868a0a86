/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot mem=16,128,3072,3073,5120 timeout=60 */
/* The first and the last word of every range of memory that the map offers. */
#include "lib/payload.h"

static const uint64_t pattern = 0x5aa5c33c0ff01234;

static void check_word(uint64_t gpa)
{
	const uint64_t at = gpa >> 32 ? map_high(gpa) : gpa;
	uint64_t old;

	/* Address 0 is as good as any; a compiler thinks otherwise. */
	__asm__ volatile("mov (%1), %0" : "=r"(old) : "r"(at));
	__asm__ volatile("mov %0, (%1)" ::"r"(pattern ^ gpa), "r"(at) : "memory");
	if (at)
		CHECK_EQ(read64(at), pattern ^ gpa);
	__asm__ volatile("mov %0, (%1)" ::"r"(old), "r"(at) : "memory");
}

void payload(void)
{
	unsigned ranges = 0;

	for (unsigned n = 0; n < e820_count(); n++) {
		const struct e820_entry e = e820_get(n);

		if (e.type != E820_RAM)
			continue;
		check_word(e.addr);
		check_word(e.addr + e.size - 8);
		ranges++;
	}
	CHECK(ranges >= 2);
}
