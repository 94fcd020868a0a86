/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/fault.h"
#include "test.h"

TEST(fills_all_and_nothing_else)
{
	uint8_t buf[RANDOM_MAX + 2], zero_in_all[RANDOM_MAX];

	memset(zero_in_all, 0, sizeof(zero_in_all));
	memset(buf, 0, sizeof(buf));
	/* A byte is zero 16 times in a row once in 2^128. */
	for (unsigned i = 0; i < 16; i++) {
		CHECK_EQ(random_fill(buf + 1, RANDOM_MAX), 0);
		for (unsigned k = 0; k < RANDOM_MAX; k++)
			zero_in_all[k] |= buf[1 + k];
	}
	for (unsigned k = 0; k < RANDOM_MAX; k++)
		CHECK(zero_in_all[k]);
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(buf[RANDOM_MAX + 1], 0);
	CHECK_EQ(random_fill(buf, 0), 0);
}

#ifdef WISP_FAULTS
TEST(failure_is_told)
{
	uint8_t buf[8];

	fault_arm(0);
	CHECK_EQ(random_fill(buf, sizeof(buf)), -EIO);
	CHECK(fault_fired());
}
#endif
