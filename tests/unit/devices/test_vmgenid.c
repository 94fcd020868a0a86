/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmgenid.h"

#include "base/fault.h"
#include "test.h"

enum { AT = 0x100, SIZE = 0x200 };

static uint8_t ram[SIZE];

static struct gmem memory(void)
{
	struct gmem m = { 0 };

	CHECK_EQ(gmem_add(&m, 0, SIZE, ram), 0);
	return m;
}

TEST(every_machine_has_another)
{
	struct gmem m = memory();
	uint8_t first[VMGENID_SIZE];
	struct err e;

	CHECK_EQ(vmgenid_write(&m, AT, &e), 0);
	memcpy(first, ram + AT, VMGENID_SIZE);
	CHECK_EQ(vmgenid_write(&m, AT, &e), 0);
	CHECK(memcmp(first, ram + AT, VMGENID_SIZE) != 0);
	for (unsigned i = 0; i < SIZE; i++)
		CHECK(ram[i] == 0 || (i >= AT && i < AT + VMGENID_SIZE));
}

TEST(no_memory_there)
{
	struct gmem m = memory();
	struct err e = { 0 };

	CHECK_EQ(vmgenid_write(&m, SIZE - VMGENID_SIZE, &e), 0);
	CHECK_EQ(vmgenid_write(&m, SIZE - VMGENID_SIZE + 1, &e), -EFAULT);
	CHECK(strncmp(e.msg, "VMGenID: ", 9) == 0);
}

#ifdef WISP_FAULTS
TEST(no_randomness)
{
	struct gmem m = memory();
	struct err e = { 0 };

	fault_arm(0);
	CHECK_EQ(vmgenid_write(&m, AT, &e), -EIO);
	CHECK(strncmp(e.msg, "VMGenID: ", 9) == 0);
}
#endif
