/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/gmem.h"

#include "test.h"

enum { PAGE = 0x1000, LOW = 3 * PAGE, HIGH = 2 * PAGE };

static uint8_t low[LOW], high[HIGH];

/* [0x1000, 0x4000) and [0x4000, 0x6000): they touch, their memory does not. */
static struct gmem two_regions(void)
{
	struct gmem m = { 0 };

	CHECK_EQ(gmem_add(&m, 0x1000, LOW, low), 0);
	CHECK_EQ(gmem_add(&m, 0x4000, HIGH, high), 0);
	return m;
}

TEST(regions_neither_overlap_nor_wrap)
{
	struct gmem m = two_regions();

	CHECK_EQ(gmem_add(&m, 0x5fff, 1, low), -EEXIST);
	CHECK_EQ(gmem_add(&m, 0, 1, low), -EEXIST); /* not ascending */
	CHECK_EQ(gmem_add(&m, UINT64_MAX - 1, 4, low), -EINVAL);
	CHECK_EQ(gmem_add(&m, 0x9000, UINT64_MAX, low), -EINVAL);
	CHECK_EQ(gmem_add(&m, 0x9000, 0, low), -EINVAL);
	CHECK_EQ(m.nregions, 2);
	CHECK_EQ(gmem_add(&m, 0x6000, 1, low), 0);
}

TEST(regions_are_limited)
{
	struct gmem m = { 0 };

	for (unsigned i = 0; i < GMEM_MAX_REGIONS; i++)
		CHECK_EQ(gmem_add(&m, i * 0x10000ull, 0x1000, low), 0);
	CHECK_EQ(gmem_add(&m, 0x1000000, 0x1000, low), -ENOSPC);
	CHECK_EQ(m.nregions, GMEM_MAX_REGIONS);
}

TEST(hva_is_exact_at_the_edges)
{
	struct gmem m = two_regions();

	CHECK(gmem_hva(&m, 0x1000, LOW) == low);
	CHECK(gmem_hva(&m, 0x1000, LOW + 1) == NULL);
	CHECK(gmem_hva(&m, 0x1001, LOW - 1) == low + 1);
	CHECK(gmem_hva(&m, 0x1001, LOW) == NULL);
	CHECK(gmem_hva(&m, 0x0fff, 1) == NULL);
	CHECK(gmem_hva(&m, 0x3fff, 1) == low + LOW - 1);
	CHECK(gmem_hva(&m, 0x3fff, 2) == NULL); /* two regions */
	CHECK(gmem_hva(&m, 0x5fff, 1) == high + HIGH - 1);
	CHECK(gmem_hva(&m, 0x6000, 1) == NULL);
	CHECK(gmem_hva(&m, 0, 0) == NULL);
	CHECK(gmem_hva(&m, UINT64_MAX, UINT64_MAX) == NULL);
	CHECK(gmem_hva(&m, 0x1001, UINT64_MAX) == NULL);
}

TEST(a_region_at_the_top_of_the_space)
{
	struct gmem m = { 0 };
	uint8_t v = 0;

	CHECK_EQ(gmem_add(&m, UINT64_MAX - PAGE, PAGE, low), 0);
	CHECK(gmem_hva(&m, UINT64_MAX - 1, 1) == low + PAGE - 1);
	CHECK(gmem_hva(&m, UINT64_MAX - 1, 2) == NULL);
	CHECK_EQ(gmem_read(&m, UINT64_MAX, &v, 1), -EFAULT);
	CHECK_EQ(gmem_write(&m, UINT64_MAX - 1, "ab", 2), -EFAULT);
}

/* Every length around every edge, against what a flat copy would do. */
TEST(copies_at_every_offset)
{
	struct gmem m = two_regions();

	for (gpa_t gpa = 0x0ff0; gpa < 0x6010; gpa = gpa == 0x1010   ? 0x3ff0
						     : gpa == 0x4010 ? 0x5ff0
								     : gpa + 1) {
		for (size_t len = 1; len <= 24; len++) {
			uint8_t in[24], out[25];
			int want = gpa >= 0x1000 && gpa + len <= 0x6000 ? 0 : -EFAULT;

			for (size_t i = 0; i < len; i++)
				in[i] = (uint8_t)(gpa * 7 + i);
			memset(out, 0xee, sizeof(out));
			CHECK_EQ(gmem_write(&m, gpa, in, len), want);
			CHECK_EQ(gmem_read(&m, gpa, out, len), want);
			CHECK_EQ(out[len], 0xee);
			CHECK(want < 0 || memcmp(in, out, len) == 0);
		}
	}
}

TEST(copies_cross_touching_regions)
{
	struct gmem m = two_regions();

	CHECK_EQ(gmem_write(&m, 0x3ffe, "abcd", 4), 0);
	CHECK(memcmp(low + LOW - 2, "ab", 2) == 0);
	CHECK(memcmp(high, "cd", 2) == 0);
}

TEST(nothing_is_nowhere)
{
	struct gmem m = two_regions();
	uint8_t v = 7;

	CHECK_EQ(gmem_read(&m, 0, &v, 0), 0);
	CHECK_EQ(gmem_write(&m, UINT64_MAX, &v, 0), 0);
	CHECK_EQ(gmem_read(&m, UINT64_MAX, &v, 1), -EFAULT);
	CHECK_EQ(v, 7);
}

TEST(iov_splits_where_regions_touch)
{
	struct gmem m = two_regions();
	struct iovec iov[3];
	unsigned n = 0;

	CHECK_EQ(gmem_iov(&m, 0x1000, LOW + HIGH, iov, 3, &n), 0);
	CHECK_EQ(n, 2);
	CHECK(iov[0].iov_base == low && iov[0].iov_len == LOW);
	CHECK(iov[1].iov_base == high && iov[1].iov_len == HIGH);
	CHECK_EQ(gmem_iov(&m, 0x5000, 0x1000, iov, 3, &n), 0); /* appends */
	CHECK_EQ(n, 3);
	CHECK_EQ(gmem_iov(&m, 0x5000, 1, iov, 3, &n), -ENOBUFS);
	CHECK_EQ(gmem_iov(&m, 0x5000, 0, iov, 3, &n), 0);
	n = 0;
	CHECK_EQ(gmem_iov(&m, 0x1000, LOW + HIGH + 1, iov, 3, &n), -EFAULT);
	n = 0;
	CHECK_EQ(gmem_iov(&m, 0x1000, UINT64_MAX, iov, 3, &n), -EFAULT);
}

TEST(iov_reports_a_full_array)
{
	struct gmem m = two_regions();
	struct iovec iov[2];
	unsigned n = 0;

	CHECK_EQ(gmem_iov(&m, 0x3ff0, 0x20, iov, 1, &n), -ENOBUFS);
	n = 0;
	CHECK_EQ(gmem_iov(&m, 0x3ff0, 0x20, iov, 2, &n), 0);
}

TEST(dirty_by_address)
{
	struct gmem m = two_regions();
	uint64_t bits = 0;

	gmem_dirty(&m, 0x1000, 1); /* no bitmap: nothing */
	m.region[0].dirty = &bits;
	gmem_dirty(&m, 0x1000, 0);
	gmem_dirty(&m, 0x0fff, 1);
	gmem_dirty(&m, 0x4000, 1);
	CHECK_EQ(bits, 0);
	gmem_dirty(&m, 0x1000, PAGE);
	CHECK_EQ(bits, 1);
	gmem_dirty(&m, 0x2fff, 2);
	CHECK_EQ(bits, 7);
}

TEST(dirty_by_iovec_covers_what_was_written)
{
	struct gmem m = two_regions();
	uint64_t bits[2] = { 0 };
	struct iovec iov[] = { { low + PAGE - 1, 2 }, { high + PAGE, PAGE } };

	m.region[0].dirty = &bits[0];
	m.region[1].dirty = &bits[1];
	gmem_dirty_iov(&m, iov, 2, 1);
	CHECK_EQ(bits[0], 1);
	CHECK_EQ(bits[1], 0);
	gmem_dirty_iov(&m, iov, 2, 2);
	CHECK_EQ(bits[0], 3);
	CHECK_EQ(bits[1], 0);
	gmem_dirty_iov(&m, iov, 2, 3);
	CHECK_EQ(bits[1], 2);
}

TEST(a_write_marks_every_page)
{
	struct gmem m = two_regions();
	uint64_t bits[2] = { 0 };
	static const uint8_t page[PAGE + 2];

	m.region[0].dirty = &bits[0];
	m.region[1].dirty = &bits[1];
	CHECK_EQ(gmem_write(&m, 0x3fff, page, PAGE + 2), 0);
	CHECK_EQ(bits[0], 4);
	CHECK_EQ(bits[1], 3);
	bits[0] = bits[1] = 0;
	CHECK_EQ(gmem_write(&m, 0x5fff, page, 2), -EFAULT);
	CHECK_EQ(bits[0] | bits[1], 0);
}

TEST(dirty_bits_beyond_one_word)
{
	enum { PAGES = 130 };
	static uint8_t ram[PAGES * PAGE];
	struct gmem m = { 0 };
	uint64_t bits[3] = { 0 };

	CHECK_EQ(gmem_add(&m, 0, sizeof(ram), ram), 0);
	m.region[0].dirty = bits;
	gmem_dirty(&m, 63 * PAGE, 2 * PAGE);
	CHECK_EQ(bits[0], (long long)(UINT64_C(1) << 63));
	CHECK_EQ(bits[1], 1);
	gmem_dirty(&m, 129 * PAGE + 1, 1);
	CHECK_EQ(bits[2], 2);
}
