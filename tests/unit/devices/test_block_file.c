/* SPDX-License-Identifier: Apache-2.0 */
/* What can be a disk, and making a device of it. */
#include <limits.h>
#include <sys/stat.h>

#include "devices/virtio/block/open.h"
#include "disk.h"

static char dir[] = "/tmp/test_block_XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void open_refused(const char *path, bool read_only, int code, const char *word)
{
	struct err e = { 0 };
	int fd = -7;

	CHECK_EQ(blk_open(path, read_only, &fd, &e), code);
	CHECK_EQ(fd, -7);
	CHECK(strstr(e.msg, word) != NULL);
	CHECK(strstr(e.msg, path) != NULL);
}

TEST(only_files_and_block_devices_are_opened)
{
	struct err e;
	uint64_t bytes;
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	fd = open(in_dir("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, "QFI\xfb raw all the same", 20), 20);
	close(fd);
	for (int ro = 0; ro < 2; ro++) {
		open_refused(dir, ro, -EINVAL, "a directory");
		open_refused(in_dir("fifo"), ro, -EINVAL, "a FIFO");
		open_refused("/dev/null", ro, -EINVAL, "a character device");
		open_refused(in_dir("none"), ro, -ENOENT, "No such file");
		CHECK_EQ(blk_open(in_dir("file"), ro, &fd, &e), 0);
		CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, ro ? O_RDONLY : O_RDWR);
		CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
		CHECK_EQ(blk_size(fd, &bytes, &e), 0);
		CHECK_EQ(bytes, 20);
		close(fd);
	}
	CHECK_EQ(unlink(in_dir("file")) + unlink(in_dir("fifo")) + rmdir(dir), 0);
}

TEST(opening_under_faults)
{
	char path[64];

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	disk = make_disk(SECTOR);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	fault_arm(0);
	open_refused(path, false, -EIO, "Input/output");
	CHECK(fault_fired());
}

TEST(what_a_medium_says_of_itself)
{
	static const struct {
		unsigned logical, physical;
		int offset;
		unsigned min_io, opt_io;
		struct blk_geometry expected;
	} rows[] = {
		{ 512, 512, 0, 512, 0, { 512, 512, 0, 512, 0 } },
		{ 512, 4096, 3584, 4096, 1 << 20, { 512, 4096, 3584, 4096, 1 << 20 } },
		{ 4096, 4096, 0, 4096, 65536, { 4096, 4096, 0, 4096, 65536 } },
		{ 256, 512, 0, 512, 0, { 0 } },
		{ 513, 4096, 0, 512, 0, { 0 } },
		{ 0, 4096, 0, 512, 0, { 0 } },
		{ 4096, 512, 0, 4096, 0, { 4096, 4096, 0, 4096, 0 } },
		{ 512, 4097, 0, 512, 0, { 512, 512, 0, 512, 0 } },
		{ 512, 4096, 4096, 512, 0, { 512, 4096, 0, 512, 0 } },
		{ 512, 4096, -1, 512, 0, { 512, 4096, 0, 512, 0 } },
		{ 512, 4096, 100, 512, 0, { 512, 4096, 0, 512, 0 } },
		{ 512, 1 << 20, 512 * 255, 512, 0, { 512, 1 << 20, 512 * 255, 512, 0 } },
		{ 512, 1 << 20, 512 * 256, 512, 0, { 512, 1 << 20, 0, 512, 0 } },
		{ 512, 512, 0, 512 * 65535, 0, { 512, 512, 0, 512 * 65535, 0 } },
		{ 512, 512, 0, 512 * 65536, 100, { 512, 512, 0, 0, 0 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blk_geometry g = blk_geometry_of(rows[i].logical, rows[i].physical,
							rows[i].offset, rows[i].min_io,
							rows[i].opt_io);

		CHECK_EQ(memcmp(&g, &rows[i].expected, sizeof(g)), 0);
	}
}

TEST(an_image_has_no_geometry)
{
	struct blk_geometry g = { .logical = 1 };
	struct err e = { 0 };

	disk = make_disk(SECTOR);
	CHECK_EQ(blk_geometry(disk, &g, &e), 0);
	CHECK_EQ(g.logical + g.physical, 0);
	CHECK_EQ(blk_geometry(9999, &g, &e), -EBADF);
	CHECK(strstr(e.msg, "block size") != NULL);
	close(disk);
}

#define F_BLK_SIZE (UINT32_C(1) << 6)
#define F_TOPOLOGY (UINT32_C(1) << 10)

/* The words of configuration space that depend on the medium. */
static void check_medium(struct blk_geometry g, uint32_t features, uint32_t blk_size,
			 uint32_t topology, uint32_t opt_io)
{
	plug_disk((struct blk_cfg){ .geometry = g });
	wr(R_DEVICE_FEATURES_SEL, 0);
	CHECK_EQ(rd(R_DEVICE_FEATURES) & (F_BLK_SIZE | F_TOPOLOGY), features);
	CHECK_EQ(rd(R_CONFIG), SECTORS);
	CHECK_EQ(rd(R_CONFIG + 20), blk_size);
	CHECK_EQ(rd(R_CONFIG + 24), topology);
	CHECK_EQ(rd(R_CONFIG + 28), opt_io);
	CHECK_EQ(request(IN, 1, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}

TEST(large_blocks_are_told_to_the_driver)
{
	check_medium((struct blk_geometry){ 0 }, 0, 0, 0, 0);
	check_medium((struct blk_geometry){ 512, 512, 0, 512, 4096 }, 0, 0, 0, 0);
	check_medium((struct blk_geometry){ 512, 4096, 3584, 4096, 65536 }, F_TOPOLOGY, 0,
		     3 | 7 << 8 | 8 << 16, 128);
	check_medium((struct blk_geometry){ 4096, 4096, 0, 4096, 65536 }, F_BLK_SIZE | F_TOPOLOGY,
		     4096, 0 | 1 << 16, 16);
}

TEST(a_block_device)
{
	static const uint32_t sectors[] = { SECTOR, 4096 };

	for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
		struct blk_cfg cfg = { .id = "x", .cache = BLK_WRITEBACK, .discard = true };
		struct err e;

		disk = make_disk(SECTORS * SECTOR);
		cfg.fd = make_loop(sectors[i]);
		CHECK_EQ(blk_geometry(cfg.fd, &cfg.geometry, &e), 0);
		CHECK_EQ(cfg.geometry.logical, sectors[i]);
		CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
		plug(dev);
		run_device(F_FLUSH);
		CHECK_EQ(rd(R_CONFIG), SECTORS);
		CHECK_EQ(rd(R_CONFIG + 20), sectors[i] == SECTOR ? 0 : sectors[i]);
		CHECK_EQ(request(IN, 8, 8 * SECTOR, WRITE, 8 * SECTOR + 1), OK);
		CHECK(data_is(DATA, 8 * SECTOR, 8 * SECTOR));
		CHECK_EQ(request(IN, 3, SECTOR, WRITE, SECTOR + 1), OK); /* less than a sector */
		CHECK_EQ(request(OUT, 3, SECTOR, 0, 1), OK);
		CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
		memset(ram + DATA, 0, 16);
		ram[DATA] = 5; /* aligned to neither */
		ram[DATA + 8] = 6;
		CHECK_EQ(request(DISCARD, 0, 16, 0, 1), OK);
		CHECK_EQ(request(ZEROES, 0, 16, 0, 1), OK);
		CHECK_EQ(request(IN, 4, 8 * SECTOR, WRITE, 8 * SECTOR + 1), OK);
		CHECK(data_is(DATA, 4 * SECTOR, SECTOR));
		for (unsigned k = SECTOR; k < 7 * SECTOR; k++)
			CHECK_EQ(ram[DATA + k], 0);
		CHECK(data_is(DATA + 7 * SECTOR, 11 * SECTOR, SECTOR));
		CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
		unplug_disk();
	}
}

/* Around the page cache in sectors of 512 bytes, and not at all in larger ones. */
TEST(a_block_device_directly)
{
	int fd;

	disk = make_disk(SECTORS * SECTOR);
	fd = make_loop(4096);
	CHECK_EQ(blk_go_direct(fd), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_DIRECT, 0);
	close(fd);
	fd = make_loop(SECTOR);
	CHECK(blk_go_direct(fd) >= 1);
	CHECK(fcntl(fd, F_GETFL) & O_DIRECT);
	close(fd);
	close(disk);
}

TEST(creation_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	struct err e;

	disk = make_disk(SECTOR);
	for (unsigned n = 0;; n++) {
		struct blk_cfg cfg = { .id = "x", .fd = fcntl(disk, F_DUPFD_CLOEXEC, 0) };
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = blk_create(&cfg, &dev, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK(n >= 5);
			vdev_destroy(dev);
			CHECK_EQ(fcntl(cfg.fd, F_GETFD), -1);
			return;
		}
		CHECK(strstr(e.msg, "block `x'") != NULL);
		CHECK_EQ(close(cfg.fd), 0); /* still ours */
	}
}
