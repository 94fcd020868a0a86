/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmclock.h"

#include "test.h"

enum { AT = 0x1000, SIZE = 0x3000 };

static uint8_t ram[SIZE];

static uint64_t field(unsigned offset, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, ram + AT + offset, len);
	return v;
}

/* Offsets and values of Linux's include/uapi/linux/vmclock-abi.h. */
TEST(the_page)
{
	struct gmem m = { 0 };
	struct err e;

	CHECK_EQ(gmem_add(&m, 0, SIZE, ram), 0);
	CHECK_EQ(vmclock_write(&m, AT, &e), 0);
	CHECK(memcmp(ram + AT, "VCLK", 4) == 0);
	CHECK_EQ(field(4, 4), 4096);
	CHECK_EQ(field(8, 2), 1);
	CHECK_EQ(field(10, 1), 0xff);
	CHECK_EQ(field(12, 4), 0);	/* no update is going on */
	CHECK_EQ(field(16, 8), 0);	/* never disrupted */
	CHECK_EQ(field(24, 8), 3 << 8); /* generation counter, notifications */
	CHECK_EQ(field(34, 1), 0);	/* no clock */
	for (unsigned at = 32; at < VMCLOCK_SIZE; at += 8)
		CHECK_EQ(field(at, 8), 0);
	for (unsigned i = 0; i < SIZE; i++)
		CHECK(ram[i] == 0 || (i >= AT && i < AT + 32));
}

TEST(both_markers_change)
{
	struct gmem m = { 0 };
	struct err e;

	CHECK_EQ(gmem_add(&m, 0, SIZE, ram), 0);
	CHECK_EQ(vmclock_write(&m, AT, &e), 0);
	for (unsigned n = 1; n < 4; n++) {
		CHECK_EQ(vmclock_disrupt(&m, AT, &e), 0);
		CHECK_EQ(field(12, 4), 2 * n); /* even: no update is going on */
		CHECK_EQ(field(16, 8), n);
		CHECK_EQ(field(104, 8), n);
	}
	/* Whatever a guest has written there. */
	memset(ram + AT, 0xff, VMCLOCK_SIZE);
	CHECK_EQ(vmclock_disrupt(&m, AT, &e), 0);
	CHECK_EQ(field(12, 4), 0);
	CHECK_EQ(field(16, 8), 0);
}

TEST(no_memory_there)
{
	struct gmem m = { 0 };
	struct err e = { 0 };

	CHECK_EQ(gmem_add(&m, 0, SIZE, ram), 0);
	CHECK_EQ(vmclock_write(&m, SIZE - 111, &e), -EFAULT);
	CHECK_EQ(vmclock_disrupt(&m, SIZE - 111, &e), -EFAULT);
	CHECK(strncmp(e.msg, "VMClock: ", 9) == 0);
}
