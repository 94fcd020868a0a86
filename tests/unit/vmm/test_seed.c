/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/seed.h"

#include "base/fault.h"
#include "test.h"
#include "vmm/x86/layout.h"

enum { PAGE = 4096 };

static uint8_t page[PAGE];

static struct gmem memory(size_t size)
{
	struct gmem m = { 0 };

	CHECK_EQ(gmem_add(&m, LAYOUT_RNG_SEED, size, page), 0);
	return m;
}

static uint64_t field(unsigned offset, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, page + offset, len);
	return v;
}

TEST(a_node_of_setup_data)
{
	struct gmem m = memory(PAGE);
	uint8_t first[32];
	struct err e;

	CHECK_EQ(seed_write(&m, &e), 0);
	CHECK_EQ(field(0, 8), 0); /* the last of the list */
	CHECK_EQ(field(8, 4), 9); /* SETUP_RNG_SEED */
	CHECK_EQ(field(12, 4), 32);
	memcpy(first, page + 16, sizeof(first));
	CHECK_EQ(seed_write(&m, &e), 0);
	CHECK(memcmp(first, page + 16, sizeof(first)) != 0);
	for (unsigned i = 48; i < PAGE; i++)
		CHECK_EQ(page[i], 0);
}

TEST(no_memory_there)
{
	struct gmem m = memory(47);
	struct err e = { 0 };

	CHECK_EQ(seed_write(&m, &e), -EFAULT);
	CHECK(strncmp(e.msg, "random seed: ", 13) == 0);
}

#ifdef WISP_FAULTS
TEST(no_randomness)
{
	struct gmem m = memory(PAGE);
	struct err e = { 0 };

	fault_arm(0);
	CHECK_EQ(seed_write(&m, &e), -EIO);
	CHECK(strncmp(e.msg, "random seed: ", 13) == 0);
}
#endif
