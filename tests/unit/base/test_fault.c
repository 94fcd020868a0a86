/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include "test.h"

TEST(an_unarmed_place_passes)
{
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(fault_check(-EIO), 0);
	CHECK(!fault_fired());
}

TEST(the_nth_place_fails_once)
{
	for (long n = 0; n < 5; n++) {
		fault_arm(n);
		for (long i = 0; i < 10; i++) {
			CHECK_EQ(fault_fired(), i > n);
			CHECK_EQ(fault_check(-EIO), i == n ? -EIO : 0);
		}
		CHECK(fault_fired());
	}
	fault_arm(-1);
	CHECK(!fault_fired());
	CHECK_EQ(fault_check(-EIO), 0);
}

TEST(the_macro_looks_only_where_it_should)
{
	fault_arm(0);
#ifdef WISP_FAULTS
	CHECK_EQ(FAULT(-ENOMEM), -ENOMEM);
#else
	CHECK_EQ(FAULT(-ENOMEM), 0);
#endif
}
