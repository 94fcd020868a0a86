/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"

#include "test.h"

TEST(the_check_value_of_the_algorithm)
{
	/* Of CRC-64/XZ in the catalogue of parametrised CRC algorithms. */
	CHECK(crc64(0, "123456789", 9) == UINT64_C(0x995dc9bbdf1939fa));
	CHECK(crc64(0, "", 0) == 0);
}

TEST(pieces_are_the_same_as_the_whole)
{
	const char text[] = "what is saved must come back as it was";
	const uint64_t whole = crc64(0, text, sizeof(text));

	for (size_t cut = 0; cut <= sizeof(text); cut++)
		CHECK(crc64(crc64(0, text, cut), text + cut, sizeof(text) - cut) == whole);
}

TEST(every_single_bit_is_noticed)
{
	uint8_t data[64] = { 0 };
	const uint64_t good = crc64(0, data, sizeof(data));

	for (unsigned bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(crc64(0, data, sizeof(data)) != good);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
