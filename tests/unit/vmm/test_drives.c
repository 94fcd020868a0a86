/* SPDX-License-Identifier: Apache-2.0 */
/* From a drive's configuration to its device, and hosts without io_uring. */
#include "vmm/drives.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "descriptors.h"
#include "devices/virtio/block/block.h"
#include "test.h"

#define F_RANGES (UINT64_C(3) << 13)

static struct conf_config config;
static struct conf_drive drive[2];
static struct drives drives;
static struct loop loop;

static void configure(unsigned n, enum conf_io_engine engine)
{
	CHECK_EQ(loop_init(&loop), 0);
	config.ndrives = n;
	for (unsigned i = 0; i < n; i++) {
		config.drives[i] = &drive[i];
		drive[i] = (struct conf_drive){ .io_engine = engine };
		snprintf(drive[i].drive_id, sizeof(drive[i].drive_id), "d%u", i);
	}
}

static int make_disk(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, 4096), 0);
	return fd;
}

TEST(async_is_refused_in_words_where_the_host_has_no_io_uring)
{
	unsigned before;
	long n;

#ifndef WISP_FAULTS
	SKIP("built without WISP_FAULTS");
#endif
	configure(2, CONF_IO_ENGINE_ASYNC);
	before = open_descriptors();
	for (n = 0;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = drives_init(&drives, &config, &loop, &e);
		if (!fault_fired()) {
			if (r < 0)
				SKIP(e.msg);
			break;
		}
		CHECK(r < 0 && !drives.ring);
		CHECK(strncmp(e.msg, "io_engine `Async': io_uring: ", 29) == 0);
		CHECK(n == 0 || strstr(e.msg, "io_engine `Sync'") != NULL);
		CHECK_EQ(open_descriptors(), before);
	}
	fault_arm(-1);
	CHECK(n >= 6);
	drives_fini(&drives);
	CHECK_EQ(open_descriptors(), before);
}

TEST(sync_asks_for_no_ring)
{
	unsigned before;
	struct err e;

	configure(2, CONF_IO_ENGINE_SYNC);
	before = open_descriptors();
	fault_arm(0);
	CHECK_EQ(drives_init(&drives, &config, &loop, &e), 0);
	CHECK(!fault_fired() && !drives.ring);
	CHECK_EQ(open_descriptors(), before);
	drives_fini(&drives);
}

TEST(discard_is_offered_where_it_is_configured)
{
	struct vdev *dev[2];
	int fd = make_disk();
	struct err e;

	for (enum conf_io_engine engine = CONF_IO_ENGINE_SYNC; engine <= CONF_IO_ENGINE_ASYNC;
	     engine++) {
		configure(2, engine);
		drive[1].discard = true;
		if (drives_init(&drives, &config, &loop, &e) < 0)
			SKIP(e.msg);
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(drives_create(&drives, &drive[i], fd, &dev[i], &e), 0);
			CHECK_EQ(dev[i]->class->features(dev[i]) & F_RANGES, i ? F_RANGES : 0);
			CHECK(drives_find(&drives, drive[i].drive_id) == dev[i]);
		}
		CHECK(!drives_find(&drives, "d2"));
		vdev_destroy(dev[0]);
		vdev_destroy(dev[1]);
		drives_fini(&drives);
		loop_fini(&loop);
	}
	CHECK_EQ(close(fd), 0);
}

TEST(creation_under_faults)
{
	int fd = make_disk();
	struct vdev *dev;
	unsigned before;
	struct err e;
	long n;

#ifndef WISP_FAULTS
	SKIP("built without WISP_FAULTS");
#endif
	configure(1, CONF_IO_ENGINE_ASYNC);
	if (drives_init(&drives, &config, &loop, &e) < 0)
		SKIP(e.msg);
	before = open_descriptors();
	for (n = 0;; n++) {
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = drives_create(&drives, &drive[0], fd, &dev, &e);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		CHECK(r < 0);
		CHECK(strstr(e.msg, "`d0'") != NULL);
		CHECK_EQ(open_descriptors(), before);
	}
	fault_arm(-1);
	CHECK(n >= 8);
	vdev_destroy(dev);
	drives_fini(&drives);
	CHECK_EQ(close(fd), 0);
}
