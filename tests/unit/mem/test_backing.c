/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include "base/fault.h"
#include "test.h"

enum { MIB = 1 << 20 };

static struct err err;

/* The VmFlags word of the mapping that holds `p'. */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false, found = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag);
	}
	fclose(f);
	return found;
}

TEST(memory_is_zero_and_writable_to_its_end)
{
	static const enum backing_pages kinds[] = { BACKING_PAGES_DEFAULT,
						    BACKING_PAGES_TRANSPARENT };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct backing b = { 0 };

		CHECK_EQ(backing_create(3 * MIB, kinds[i], &b, &err), 0);
		CHECK_EQ(b.size, 3 * MIB);
		CHECK_EQ(b.hva[0], 0);
		CHECK_EQ(b.hva[b.size - 1], 0);
		b.hva[0] = b.hva[b.size - 1] = 7;
		CHECK(has_flag(b.hva, " dd")); /* not in core dumps */
		CHECK(has_flag(b.hva, " dc")); /* not in children */
		backing_destroy(&b);
		CHECK(b.hva == NULL);
		backing_destroy(&b);
	}
}

TEST(more_than_the_host_has_is_only_reserved)
{
	struct backing b;

	CHECK_EQ(backing_create((size_t)1 << 40, BACKING_PAGES_DEFAULT, &b, &err), 0);
	b.hva[((size_t)1 << 40) - 1] = 1;
	backing_destroy(&b);
}

TEST(a_refusal_names_size_and_remedy)
{
	struct backing b = { 0 };

	CHECK_EQ(backing_create((size_t)1 << 48, BACKING_PAGES_DEFAULT, &b, &err), -ENOMEM);
	CHECK(strstr(err.msg, "268435456 MiB"));
	CHECK(strstr(err.msg, "mem_size_mib"));
	CHECK(b.hva == NULL);
	CHECK_EQ(backing_create((size_t)1 << 46, BACKING_PAGES_2M, &b, &err), -ENOMEM);
	CHECK(strstr(err.msg, "nr_hugepages"));
	CHECK(strstr(err.msg, "33554432 more"));
	CHECK(b.hva == NULL);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(no_memory_is_an_error)
{
	struct backing b = { 0 };

	fault_arm(0);
	CHECK_EQ(backing_create(MIB, BACKING_PAGES_DEFAULT, &b, &err), -ENOMEM);
	CHECK(b.hva == NULL);
}
#endif
