/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that fail in earnest, on both engines (test_block_host_async.c). */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "disk.h"

static char dir[] = "/tmp/test_block_host_XXXXXX";

/* The device is well and its file readable. */
static void check_alive(uint64_t fails)
{
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), fails);
	CHECK_EQ(rd(R_STATUS), RUN);
	CHECK(vdev_idle(dev));
}

TEST(a_device_that_is_full)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	CHECK(full >= 0);
	plug_disk((struct blk_cfg){ 0 });
	swap_file(full);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), IOERR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_count), 0);
	check_alive(1);
	swap_file(disk);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), OK);
	CHECK_EQ(close(full), 0);
	unplug_disk();
}

/* The first part of the request has room, the rest has not. */
TEST(a_file_system_that_is_full)
{
	char path[64];
	int file;

	CHECK(mkdtemp(dir) != NULL);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "tmpfs", 0, "size=16k") < 0) {
		CHECK_EQ(rmdir(dir), 0);
		SKIP("needs to mount a file system of 16 KiB");
	}
	snprintf(path, sizeof(path), "%s/disk", dir);
	file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK(file >= 0);
	CHECK_EQ(ftruncate(file, SECTORS * SECTOR), 0);
	plug_disk((struct blk_cfg){ 0 });
	swap_file(file);
	CHECK_EQ(request(OUT, 0, SECTORS * SECTOR, 0, 1), IOERR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_bytes), 0);
	CHECK_EQ(request(OUT, 0, 8 * SECTOR, 0, 1), OK);
	CHECK_EQ(request(IN, 40, SECTOR, WRITE, SECTOR + 1), OK);
	check_alive(1);
	CHECK_EQ(close(file), 0);
	unplug_disk();
	CHECK_EQ(umount2(dir, MNT_DETACH) + rmdir(dir), 0);
}

TEST(a_limit_on_the_size_of_files)
{
	const struct rlimit limit = { 8 * SECTOR, 8 * SECTOR };

	plug_disk((struct blk_cfg){ 0 });
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(request(OUT, 8, SECTOR, 0, 1), IOERR);
	CHECK_EQ(request(OUT, 7, 2 * SECTOR, 0, 1), IOERR); /* half of it fits */
	CHECK_EQ(request(OUT, 7, SECTOR, 0, 1), OK);
	CHECK_EQ(request(IN, 9, SECTOR, WRITE, SECTOR + 1), OK);
	check_alive(2);
	unplug_disk();
}

TEST(a_file_that_is_sealed)
{
	plug_disk((struct blk_cfg){ .discard = true });
	CHECK_EQ(close(disk), 0);
	disk = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(disk >= 0);
	CHECK_EQ(ftruncate(disk, SECTORS * SECTOR), 0);
	CHECK_EQ(fcntl(disk, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	swap_file(disk);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), IOERR);
	memset(ram + DATA, 0, 16);
	ram[DATA + 8] = 1;
	CHECK_EQ(request(DISCARD, 0, 16, 0, 1), IOERR);
	CHECK_EQ(request(ZEROES, 0, 16, 0, 1), IOERR);
	check_alive(3);
	unplug_disk();
}

/* Between two requests, and to nothing. */
TEST(a_file_that_is_cut_to_nothing)
{
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK_EQ(ftruncate(disk, 0), 0);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(request(IN, 0, SECTORS * SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	check_alive(2);
	unplug_disk();
}

/*
 * What a file cannot do at once takes a thread of the kernel's. Where none may be made the ring
 * gives the operation back with ECANCELED: nobody has begun it, and no reset has asked for that.
 */
TEST(a_limit_on_the_number_of_threads)
{
	const int none = ASYNC ? IOERR : OK;
	struct rlimit limit;

	if (geteuid() != 0)
		SKIP("needs root, to become a user whom the limit is for");
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	CHECK_EQ(getrlimit(RLIMIT_NPROC, &limit), 0);
	CHECK_EQ(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, limit.rlim_max }), 0);
	CHECK_EQ(setresuid(65534, 65534, 0), 0);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), none);
	check_alive(ASYNC);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), none);
	check_alive(2 * ASYNC);
	CHECK_EQ(seteuid(0), 0);
	CHECK_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), OK);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK); /* nothing was lost */
	unplug_disk();
}
