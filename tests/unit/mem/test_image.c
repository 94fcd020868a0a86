/* SPDX-License-Identifier: Apache-2.0 */
/* Memory to a file: every byte, and holes where nothing is. */
#include "mem/image.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "test.h"

enum { MIB = 1 << 20, PAGE = 4096, SIZE = 6 * MIB };

static struct err err;

static int new_file(void)
{
	char name[] = "/tmp/wisp-image-XXXXXX";
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	CHECK_EQ(unlink(name), 0);
	return fd;
}

/* Through to the end in steps of `step'; bytes written. */
static size_t write_image(const struct backing *from, int fd, size_t step, bool ask)
{
	struct image w;
	size_t written;
	int r;

	CHECK_EQ(image_begin(&w, from, fd, &err), 0);
	if (!ask)
		image_fini(&w);
	do
		r = image_step(&w, step, &err);
	while (r == 1);
	CHECK_EQ(r, 0);
	written = w.written;
	image_fini(&w);
	return written;
}

static void file_is(int fd, const uint8_t *memory, size_t size)
{
	struct stat st;
	const uint8_t *p;

	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, (long long)size);
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(memcmp(p, memory, size) == 0);
	CHECK_EQ(munmap((void *)(uintptr_t)p, size), 0);
}

static void scatter(uint8_t *hva)
{
	hva[0] = 1;			 /* first byte of the first page */
	hva[3 * PAGE - 1] = 2;		 /* last one of a page */
	hva[2 * MIB] = 3;		 /* begin of a piece */
	hva[SIZE - 1] = 4;		 /* the very last */
	memset(hva + 5 * PAGE, 5, PAGE); /* a page, then zeros that somebody has written */
	memset(hva + 6 * PAGE, 0, PAGE);
}

enum { SCATTERED = 5 };

static void check_kind(enum backing_kind kind)
{
	static const size_t steps[] = { PAGE, MIB, 5 * MIB, 100 * MIB };
	struct backing b;

	CHECK_EQ(backing_create(SIZE, kind, BACKING_PAGES_DEFAULT, &b, &err), 0);
	scatter(b.hva);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(steps); i++) {
		int fd = new_file();

		CHECK_EQ(write_image(&b, fd, steps[i / 2], i % 2), SCATTERED * PAGE);
		file_is(fd, b.hva, SIZE);
		CHECK(lseek(fd, 7 * PAGE, SEEK_DATA) == 2 * MIB);
		close(fd);
	}
	backing_destroy(&b);
}

TEST(private_memory)
{
	check_kind(BACKING_PRIVATE);
}

TEST(shared_memory)
{
	check_kind(BACKING_SHARED);
}

TEST(a_view_of_a_file)
{
	struct backing b, copy;
	int first = new_file(), second = new_file(), third = new_file();

	CHECK_EQ(backing_create(SIZE, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err), 0);
	scatter(b.hva);
	CHECK_EQ(write_image(&b, first, SIZE, true), SCATTERED * PAGE);
	CHECK_EQ(backing_map_file(first, SIZE, BACKING_PAGES_DEFAULT, &copy, &err), 0);
	CHECK_EQ(copy.kind, BACKING_FILE);
	/* A change in what was there, one in a hole, one that takes a page away. */
	copy.hva[1] = b.hva[1] = 9;
	copy.hva[4 * MIB] = b.hva[4 * MIB] = 9;
	memset(copy.hva + 5 * PAGE, 0, PAGE);
	memset(b.hva + 5 * PAGE, 0, PAGE);
	CHECK_EQ(write_image(&copy, second, PAGE, true), SCATTERED * PAGE);
	file_is(second, b.hva, SIZE);
	CHECK_EQ(write_image(&copy, third, PAGE, false), SCATTERED * PAGE);
	file_is(third, b.hva, SIZE);
	/* The file that is mapped is as it was. */
	b.hva[1] = b.hva[4 * MIB] = 0;
	memset(b.hva + 5 * PAGE, 5, PAGE);
	file_is(first, b.hva, SIZE);
	backing_destroy(&copy);
	backing_destroy(&b);
}

TEST(memory_of_nothing_is_one_hole)
{
	struct backing b;
	struct stat st;
	int fd = new_file();

	CHECK_EQ(backing_create(64 * MIB, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err), 0);
	CHECK_EQ(write_image(&b, fd, 16 * MIB, true), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 64 * MIB);
	CHECK_EQ(st.st_blocks, 0);
	backing_destroy(&b);
}

TEST(a_full_disk_and_every_other_fault)
{
	struct backing b;

	if (!faults_built_in())
		SKIP("this build has no fault points");
	CHECK_EQ(backing_create(SIZE, BACKING_PRIVATE, BACKING_PAGES_DEFAULT, &b, &err), 0);
	scatter(b.hva);
	for (long n = 0;; n++) {
		int fd = new_file(), r;
		struct image w;

		err = (struct err){ 0 };
		fault_arm(n);
		r = image_begin(&w, &b, fd, &err);
		while (r >= 0 && (r = image_step(&w, MIB, &err)) == 1)
			;
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			CHECK(n > 3);
			break;
		}
		CHECK(r < 0 && err.code == r);
		CHECK(strncmp(err.msg, "the memory file cannot be ", 26) == 0);
		image_fini(&w);
		close(fd);
	}
	fault_arm(-1);
}

TEST(a_view_needs_its_file)
{
	struct backing b;

	CHECK_EQ(backing_map_file(-1, SIZE, BACKING_PAGES_DEFAULT, &b, &err), -EBADF);
	CHECK(strstr(err.msg, "guest memory of 6 MiB cannot be mapped"));
}
