/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

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

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		struct backing b = { 0 };

		CHECK_EQ(backing_create(3 * MIB, i < 2 ? BACKING_PRIVATE : BACKING_SHARED,
					kinds[i % 2], &b, &err),
			 0);
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

/* Where guest and host address differ modulo 2 MiB, KVM maps small pages alone. */
TEST(memory_begins_where_a_huge_page_does)
{
	static const size_t sizes[] = { 1 * MIB, 3 * MIB, 4 * MIB, 129 * MIB };

	for (unsigned i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i / 3];
		struct backing b = { 0 }, view = { 0 };

		CHECK_EQ(backing_create(size, i % 3 == 0 ? BACKING_PRIVATE : BACKING_SHARED,
					i % 2 ? BACKING_PAGES_TRANSPARENT : BACKING_PAGES_DEFAULT,
					&b, &err),
			 0);
		CHECK_EQ((uintptr_t)b.hva % (2 * MIB), 0);
		if (i % 3 == 2) {
			CHECK_EQ(backing_map_file(b.fd, size, BACKING_PAGES_DEFAULT, &view, &err),
				 0);
			CHECK_EQ((uintptr_t)view.hva % (2 * MIB), 0);
			CHECK_EQ(view.hva[size - 1], 0);
		}
		b.hva[size - 1] = 1;
		backing_destroy(&view);
		backing_destroy(&b);
	}
}

TEST(more_than_the_host_has_is_only_reserved)
{
	/* Not more than twice: addresses are short in a program under ThreadSanitizer. */
	size_t size = 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	struct backing b;

	CHECK_EQ(backing_create(size, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err), 0);
	b.hva[size - 1] = 1;
	backing_destroy(&b);
}

TEST(shared_memory_is_seen_by_others_and_never_resized)
{
	struct backing b = { 0 };
	uint8_t *other;

	CHECK_EQ(backing_create(3 * MIB, BACKING_SHARED, BACKING_PAGES_DEFAULT, &b, &err), 0);
	other = mmap(NULL, b.size, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0);
	CHECK(other != MAP_FAILED);
	b.hva[b.size - 1] = 9;
	CHECK_EQ(other[b.size - 1], 9);
	CHECK_EQ(ftruncate(b.fd, MIB), -1);
	CHECK_EQ(ftruncate(b.fd, 4 * MIB), -1);
	CHECK(fcntl(b.fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	CHECK(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
	munmap(other, b.size);
	backing_destroy(&b);
	CHECK_EQ(b.kind, BACKING_PRIVATE);
}

TEST(a_refusal_names_size_and_remedy)
{
	struct backing b = { 0 };

	CHECK_EQ(backing_create((size_t)1 << 48, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err),
		 -ENOMEM);
	CHECK(strstr(err.msg, "268435456 MiB"));
	CHECK(strstr(err.msg, "mem_size_mib"));
	CHECK(b.hva == NULL);
	CHECK_EQ(backing_create(SIZE_MAX & ~(size_t)(MIB - 1), BACKING_PRIVATE,
				BACKING_PAGES_DEFAULT, &b, &err),
		 -ENOMEM);
	CHECK(b.hva == NULL);
	CHECK_EQ(backing_create((size_t)1 << 46, BACKING_PRIVATE, BACKING_PAGES_2M, &b, &err),
		 -ENOMEM);
	CHECK(strstr(err.msg, "nr_hugepages"));
	CHECK(strstr(err.msg, "33554432 more"));
	CHECK(b.hva == NULL);
	CHECK(backing_create((size_t)1 << 46, BACKING_SHARED, BACKING_PAGES_2M, &b, &err) < 0);
	CHECK(strstr(err.msg, "nr_hugepages"));
	CHECK_EQ(b.kind, BACKING_PRIVATE);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(no_memory_is_an_error)
{
	static const int codes[] = { -EMFILE, -EFBIG, -ENOMEM };
	struct backing b = { 0 };

	fault_arm(0);
	CHECK_EQ(backing_create(MIB, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err), -ENOMEM);
	CHECK(b.hva == NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		fault_arm(i);
		CHECK_EQ(backing_create(MIB, BACKING_SHARED, BACKING_PAGES_DEFAULT, &b, &err),
			 codes[i]);
		CHECK(b.hva == NULL);
	}
}
#endif
