/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"

#include <pthread.h>

#define POLYNOMIAL UINT64_C(0xc96c5795d7870f42) /* ECMA-182's, bits reversed */

static uint64_t table[256];

static void make_table(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		uint64_t v = i;

		for (unsigned bit = 0; bit < 8; bit++)
			v = v & 1 ? v >> 1 ^ POLYNOMIAL : v >> 1;
		table[i] = v;
	}
}

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *at = data;

	pthread_once(&once, make_table);
	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = table[(uint8_t)crc ^ at[i]] ^ crc >> 8;
	return ~crc;
}
