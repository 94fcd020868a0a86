/* SPDX-License-Identifier: Apache-2.0 */
/* DISCARD and WRITE_ZEROES, on both engines (test_block_range_async.c). */
#include <sys/stat.h>

#include "disk.h"

enum { UNMAP = 1, RANGES = 16, DISCARD_MAX = 1 << 22, ZEROES_MAX = 1 << 15, PAGE = 8 };
#define F_RANGES (UINT32_C(3) << 13)

static void range(unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	memcpy(ram + DATA + 16 * i, &sector, 8);
	memcpy(ram + DATA + 16 * i + 8, &sectors, 4);
	memcpy(ram + DATA + 16 * i + 12, &flags, 4);
}

static int send_ranges(uint32_t type, unsigned n)
{
	return request(type, 0, 16 * n, 0, 1);
}

static int send_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	range(0, sector, sectors, flags);
	return send_ranges(type, 1);
}

/* The disk is as make_disk() wrote it, but for zeros in [from, to) sectors. */
static bool only_zeroed(unsigned from, unsigned to)
{
	uint8_t all[SECTORS * SECTOR + 100];

	CHECK_EQ(pread(disk, all, sizeof(all), 0), sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++) {
		bool in = i / SECTOR >= from && i / SECTOR < to;

		if (all[i] != (in ? 0 : pattern(i)))
			return false;
	}
	return true;
}

static long blocks(void)
{
	struct stat st;

	CHECK_EQ(fstat(disk, &st), 0);
	return st.st_blocks;
}

static void plug_with_discard(void)
{
	plug_disk((struct blk_cfg){ .discard = true });
}

TEST(offered_only_when_asked_for)
{
	for (unsigned i = 0; i < 4; i++) {
		bool offered = i == 1;

		plug_disk((struct blk_cfg){ .discard = i & 1, .read_only = i & 2 });
		wr(R_DEVICE_FEATURES_SEL, 0);
		CHECK_EQ(rd(R_DEVICE_FEATURES) & F_RANGES, offered ? F_RANGES : 0);
		CHECK_EQ(rd(R_CONFIG + 36), offered ? DISCARD_MAX : 0);
		CHECK_EQ(rd(R_CONFIG + 40), offered ? RANGES : 0);
		CHECK_EQ(rd(R_CONFIG + 44), offered ? PAGE : 0);
		CHECK_EQ(rd(R_CONFIG + 48), offered ? ZEROES_MAX : 0);
		CHECK_EQ(rd(R_CONFIG + 52), offered ? RANGES : 0);
		CHECK_EQ(rd(R_CONFIG + 56), offered ? 1 : 0);
		CHECK_EQ(send_range(DISCARD, 0, 8, 0), offered ? OK : i & 1 ? IOERR : UNSUPP);
		CHECK_EQ(send_range(ZEROES, 0, 8, 0), offered ? OK : i & 1 ? IOERR : UNSUPP);
		CHECK(only_zeroed(0, offered ? 8 : 0));
		unplug_disk();
	}
}

TEST(a_discard_frees_and_touches_no_neighbour)
{
	long before;

	plug_with_discard();
	before = blocks();
	CHECK_EQ(send_range(DISCARD, PAGE, 2 * PAGE, 0), OK);
	CHECK(only_zeroed(PAGE, 3 * PAGE));
	CHECK_EQ(before - blocks(), 2 * PAGE);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_count), 0);
	unplug_disk();
}

/* A file in memory knows no ZERO_RANGE: zeros are written there, and nothing is freed. */
TEST(zeroes_reach_a_file_that_cannot)
{
	long before;

	plug_with_discard();
	before = blocks();
	CHECK_EQ(send_range(ZEROES, 3, 17, 0), OK);
	CHECK(only_zeroed(3, 20));
	CHECK_EQ(blocks(), before);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_count), 0);
	unplug_disk();
	plug_with_discard();
	CHECK_EQ(send_range(ZEROES, 3, 17, UNMAP), OK);
	CHECK(only_zeroed(3, 20));
	CHECK_EQ(before - blocks(), PAGE); /* the one page that is whole */
	unplug_disk();
}

TEST(zeroes_in_a_file_of_a_file_system)
{
	struct blk_cfg cfg = { .id = "x", .discard = true, .engine = next_engine() };
	uint8_t b = 0;
	struct err e;

	disk = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (disk < 0)
		SKIP("no unnamed files in /tmp");
	for (unsigned i = 0; i < SECTORS * SECTOR + 100; i++) {
		b = pattern(i);
		CHECK_EQ(pwrite(disk, &b, 1, i), 1);
	}
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(0);
	CHECK_EQ(send_range(ZEROES, 5, 20, 0), OK);
	CHECK(only_zeroed(5, 25));
	CHECK_EQ(send_range(ZEROES, 25, 20, UNMAP), OK);
	CHECK_EQ(send_range(DISCARD, 45, 10, 0), OK);
	CHECK(only_zeroed(5, 55));
	unplug_disk();
}

/* Larger than one piece of zeros, and not a multiple of it. */
TEST(many_zeroes_by_writing)
{
	enum { MANY = 1000 };
	uint8_t all[MANY * SECTOR];
	struct err e;

	plug_with_discard();
	CHECK_EQ(ftruncate(disk, sizeof(all)), 0);
	memset(all, 0xee, sizeof(all));
	CHECK_EQ(pwrite(disk, all, sizeof(all), 0), sizeof(all));
	CHECK_EQ(blk_replace(dev, fcntl(disk, F_DUPFD_CLOEXEC, 0), &e), 0);
	CHECK_EQ(send_range(ZEROES, 1, MANY - 2, 0), OK);
	CHECK_EQ(pread(disk, all, sizeof(all), 0), sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++)
		CHECK_EQ(all[i], i < SECTOR || i >= (MANY - 1) * SECTOR ? 0xee : 0);
	unplug_disk();
}

TEST(many_ranges)
{
	plug_with_discard();
	for (uint32_t type = DISCARD; type <= ZEROES; type += ZEROES - DISCARD) {
		for (unsigned i = 0; i <= RANGES; i++)
			range(i, i, 1, 0);
		CHECK_EQ(send_ranges(type, RANGES), OK);
		CHECK(only_zeroed(0, RANGES));
		CHECK_EQ(send_ranges(type, RANGES + 1), IOERR);
		CHECK_EQ(send_ranges(type, 0), OK);
		CHECK_EQ(request(type, 0, 16 * RANGES - 1, 0, 1), IOERR);
		CHECK_EQ(request(type, 0, 16, WRITE, 0), IOERR);
		CHECK(only_zeroed(0, RANGES));
	}
	CHECK(vdev_idle(dev));
	unplug_disk();
}

TEST(judged_as_a_whole)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors, flags;
		int discard, zeroes;
	} rows[] = {
		{ SECTORS - 1, 1, 0, OK, OK },
		{ SECTORS, 0, 0, OK, OK },
		{ SECTORS, 1, 0, IOERR, IOERR },
		{ SECTORS - 1, 2, 0, IOERR, IOERR },
		{ SECTORS + 1, 0, 0, IOERR, IOERR },
		{ UINT64_MAX, 1, 0, IOERR, IOERR },
		{ UINT64_MAX, UINT32_MAX, 0, IOERR, IOERR },
		{ UINT64_MAX / SECTOR + 1, 1, 0, IOERR, IOERR },
		{ 0, UINT32_MAX, 0, IOERR, IOERR },
		{ SECTORS - 1, 1, UNMAP, UNSUPP, OK },
		{ SECTORS - 1, 1, 2, UNSUPP, UNSUPP },
		{ SECTORS - 1, 1, UNMAP | 1U << 31, UNSUPP, UNSUPP },
	};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		bool zero = i & 1;
		int expected = zero ? rows[i / 2].zeroes : rows[i / 2].discard;

		plug_with_discard();
		range(0, 2, 4, 0);
		range(1, rows[i / 2].sector, rows[i / 2].sectors, rows[i / 2].flags);
		CHECK_EQ(send_ranges(zero ? ZEROES : DISCARD, 2), expected);
		if (expected != OK)
			CHECK(only_zeroed(0, 0));
		CHECK_EQ(counter_get(&blk_metrics(dev)->invalid_reqs_count), expected != OK);
		CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
		unplug_disk();
	}
}

TEST(limits_of_a_range)
{
	struct err e;

	plug_with_discard();
	CHECK_EQ(ftruncate(disk, (off_t)(DISCARD_MAX + 1) * SECTOR), 0);
	CHECK_EQ(blk_replace(dev, fcntl(disk, F_DUPFD_CLOEXEC, 0), &e), 0);
	CHECK_EQ(send_range(DISCARD, 0, DISCARD_MAX, 0), OK);
	CHECK_EQ(send_range(DISCARD, 0, DISCARD_MAX + 1, 0), IOERR);
	CHECK_EQ(send_range(ZEROES, 0, ZEROES_MAX, UNMAP), OK);
	CHECK_EQ(send_range(ZEROES, 0, ZEROES_MAX + 1, UNMAP), IOERR);
	unplug_disk();
}

/* A regular file without fallocate(), and a character device that has none either. */
TEST(what_the_host_cannot_do)
{
	int comm = open("/proc/self/comm", O_RDWR | O_CLOEXEC);
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	CHECK(comm >= 0 && full >= 0);
	plug_with_discard();
	swap_file(comm);
	CHECK_EQ(send_range(DISCARD, 0, 1, 0), OK); /* advice that is not taken */
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
	swap_file(full);
	CHECK_EQ(send_range(DISCARD, 0, 1, 0), IOERR);
	CHECK_EQ(send_range(ZEROES, 0, 1, 0), IOERR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 2);
	unplug_disk();
	CHECK_EQ(close(comm) + close(full), 0);
}

static unsigned failed_ranges(uint32_t type)
{
	unsigned failed = 0;

	for (unsigned n = 0;; n++) {
		int status;

		fault_arm(n);
		status = send_range(type, 1, 1, 0);
		if (!fault_fired())
			break;
		failed += status == IOERR;
	}
	fault_arm(-1);
	return failed;
}

TEST(host_errors)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_with_discard();
	CHECK_EQ(failed_ranges(DISCARD), 1);
	CHECK_EQ(failed_ranges(ZEROES), 2); /* fallocate, then the write in its place */
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 3);
	unplug_disk();
}

/* Zeros may have to be written, so they cost bandwidth; forgetting does not. */
TEST(what_a_limit_counts)
{
	const struct rate_cfg page = { .size = PAGE * SECTOR, .refill_time_ms = 1000000 };

	plug_with_discard();
	blk_set_limits(dev, &page, NULL);
	CHECK_EQ(send_range(DISCARD, 0, SECTORS, 0), OK);
	CHECK_EQ(send_range(ZEROES, 0, PAGE, 0), OK);
	CHECK_EQ(counter_get(&blk_metrics(dev)->rate_limiter_throttled_events), 0);
	range(0, 0, 1, 0);
	desc(Q_DESC, 0, HEADER, 16, NEXT, 1);
	desc(Q_DESC, 1, DATA, 16, NEXT, 2);
	desc(Q_DESC, 2, STATUS, 1, WRITE, 0);
	header(ZEROES, 0);
	offer(0);
	kick();
	CHECK_EQ(ram[STATUS], UNTOUCHED);
	CHECK_EQ(counter_get(&blk_metrics(dev)->rate_limiter_throttled_events), 1);
	unplug_disk();
}
