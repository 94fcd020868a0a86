/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state.h"
#include "test.h"

TEST(what_is_put_is_got)
{
	uint8_t buf[64], mem[3] = { 0 };
	struct state_out o = STATE_OUT_ON(buf);
	struct state_in in;

	state_put_u8(&o, 0xfe);
	state_put_u16(&o, 0x1234);
	state_put_u32(&o, 0x89abcdef);
	state_put_u64(&o, UINT64_MAX - 1);
	state_put_mem(&o, "abc", 3);
	state_put_mem(&o, NULL, 0);
	CHECK_EQ(state_out_end(&o), 0);
	CHECK_EQ(o.len, 18);
	CHECK_EQ(buf[1], 0x34); /* little-endian */

	in = (struct state_in){ .buf = buf, .len = o.len };
	CHECK_EQ(state_get_u8(&in), 0xfe);
	CHECK_EQ(state_get_u16(&in), 0x1234);
	CHECK_EQ(state_get_u32(&in), 0x89abcdef);
	CHECK_EQ(state_get_u64(&in), UINT64_MAX - 1);
	CHECK_EQ(state_in_end(&in), -EINVAL); /* three bytes are left */
	state_get_mem(&in, mem, 3);
	CHECK_EQ(memcmp(mem, "abc", 3), 0);
	CHECK_EQ(state_in_end(&in), 0);
}

TEST(a_full_buffer_is_remembered)
{
	uint8_t buf[4];
	struct state_out o = STATE_OUT_ON(buf);

	state_put_u32(&o, 1);
	CHECK_EQ(state_out_end(&o), 0);
	state_put_u8(&o, 1);
	CHECK_EQ(state_out_end(&o), -ENOSPC);
	CHECK_EQ(o.len, 4);
}

TEST(what_is_missing_is_zero_and_remembered)
{
	const uint8_t buf[3] = { 1, 2, 3 };
	struct state_in in = { .buf = buf, .len = sizeof(buf) };

	CHECK_EQ(state_get_u32(&in), 0);
	CHECK_EQ(state_get_u8(&in), 0); /* nothing comes after a gap */
	CHECK_EQ(state_in_end(&in), -EINVAL);
}
