/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of request, in any framing, on both sides of every limit. These are the
 * tests of both engines: test_block_async.c compiles them again.
 */
#include <sys/stat.h>

#include "disk.h"

TEST(features_and_configuration)
{
	uint8_t config[24];
	struct bus_dev *b;

	for (unsigned i = 0; i < 4; i++) {
		plug_disk((struct blk_cfg){ .read_only = i & 1,
					    .cache = i & 2 ? BLK_WRITEBACK : BLK_UNSAFE });
		b = virtio_mmio_bus(mmio);
		CHECK_EQ(vdev_id(dev), 2);
		CHECK_EQ(strcmp(vdev_name(dev), "block `rootfs'"), 0);
		wr(R_DEVICE_FEATURES_SEL, 0);
		CHECK_EQ(rd(R_DEVICE_FEATURES),
			 3 << 28 | 4 | (i & 1 ? F_RO : 0) | (i & 2 ? F_FLUSH : 0));
		wr(R_DEVICE_FEATURES_SEL, 1);
		CHECK_EQ(rd(R_DEVICE_FEATURES), 1);
		wr(R_QUEUE_SEL, 0);
		CHECK_EQ(rd(R_QUEUE_MAX), 256);
		CHECK_EQ(rd(R_CONFIG), SECTORS);
		CHECK_EQ(rd(R_CONFIG + 4), 0);
		CHECK_EQ(rd(R_CONFIG + 8), 0);
		CHECK_EQ(rd(R_CONFIG + 12), 254);
		b->class->read(b, R_CONFIG + 16, config, 8);
		CHECK_EQ(memcmp(config, "\0\0\0\0\0\0\0\0", 8), 0);
		wr(R_CONFIG, 1);
		CHECK_EQ(rd(R_CONFIG), SECTORS);
		CHECK_EQ(counter_get(&blk_metrics(dev)->cfg_fails), 1);
		CHECK_EQ(blk_tail(dev), 100);
		unplug_disk();
	}
}

TEST(read_write_flush_id)
{
	char id[64];
	struct stat st;

	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	CHECK_EQ(request(IN, 3, 2 * SECTOR, WRITE, 2 * SECTOR + 1), OK);
	CHECK(data_is(DATA, 3 * SECTOR, 2 * SECTOR));
	CHECK_EQ(ram[DATA + 2 * SECTOR], 0);
	memset(ram + DATA, 0xc3, SECTOR);
	CHECK_EQ(request(OUT, 5, SECTOR, 0, 1), OK);
	CHECK_EQ(pread(disk, id, 3, 5 * SECTOR - 1), 3);
	CHECK_EQ((uint8_t)id[0], pattern(5 * SECTOR - 1));
	CHECK_EQ((uint8_t)id[1], 0xc3);
	CHECK_EQ(pread(disk, id, 2, 6 * SECTOR - 1), 2);
	CHECK_EQ((uint8_t)id[0], 0xc3);
	CHECK_EQ((uint8_t)id[1], pattern(6 * SECTOR));
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	CHECK_EQ(request(GET_ID, 0, 20, WRITE, 21), OK);
	CHECK_EQ(fstat(disk, &st), 0);
	snprintf(id, sizeof(id), "%llu%llu%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_rdev, (unsigned long long)st.st_ino);
	CHECK_EQ(strncmp((char *)ram + DATA, id, 20), 0);
	CHECK_EQ(counter_get(&blk_metrics(dev)->read_count), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->read_bytes), 2 * SECTOR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_count), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->write_bytes), SECTOR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->flush_count), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->invalid_reqs_count), 0);
	CHECK_EQ(counter_get(&blk_metrics(dev)->queue_event_count), 4 + 0);
	CHECK_EQ(rd(R_ISR), VDEV_ISR_QUEUE);
	unplug_disk();
}

TEST(flush_without_writeback_is_ok_and_does_nothing)
{
	plug_disk((struct blk_cfg){ .cache = BLK_UNSAFE });
	fault_arm(0);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	CHECK(!fault_fired());
	fault_arm(-1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->flush_count), 0);
	unplug_disk();
}

TEST(limits_from_both_sides)
{
	static const struct {
		uint64_t sector;
		uint32_t bytes;
		int status;
	} rows[] = {
		{ 0, SECTORS * SECTOR, OK },
		{ 0, (SECTORS + 1) * SECTOR, IOERR },
		{ SECTORS - 1, SECTOR, OK },
		{ SECTORS - 1, 2 * SECTOR, IOERR },
		{ SECTORS, SECTOR, IOERR },
		{ SECTORS, 0, OK },
		{ SECTORS + 1, 0, IOERR },
		{ UINT64_MAX, SECTOR, IOERR },
		{ UINT64_MAX, 0, IOERR },
		{ UINT64_MAX / SECTOR, 2 * SECTOR, IOERR },
		{ UINT64_MAX / SECTOR + 1, SECTOR, IOERR },
		{ 0, 0, OK },
		{ 0, SECTOR - 1, IOERR },
		{ 0, SECTOR + 1, IOERR },
		{ 0, 1, IOERR },
	};

	plug_disk((struct blk_cfg){ 0 });
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool ok = rows[i].status == OK;
		uint32_t bytes = rows[i].bytes;
		uint64_t bad = counter_get(&blk_metrics(dev)->invalid_reqs_count);

		CHECK_EQ(request(IN, rows[i].sector, bytes, WRITE,
				 ok	 ? bytes + 1
				 : bytes ? 0
					 : 1),
			 rows[i].status);
		CHECK_EQ(request(OUT, rows[i].sector, bytes, 0, 1), rows[i].status);
		CHECK_EQ(counter_get(&blk_metrics(dev)->invalid_reqs_count), bad + (ok ? 0 : 2));
	}
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
	unplug_disk();
}

TEST(a_long_request_of_many_segments_is_judged_as_a_whole)
{
	struct piece p[10] = { { HEADER, 16, 0 } };
	struct stat st;

	plug_disk((struct blk_cfg){ 0 });
	for (unsigned i = 1; i < 9; i++)
		p[i] = (struct piece){ DATA + i * SECTOR, SECTOR, 0 };
	p[9] = (struct piece){ STATUS, 1, WRITE };
	header(OUT, SECTORS - 7); /* each segment fits, together they do not */
	CHECK_EQ(run(p, 10), 1);
	CHECK_EQ(ram[STATUS], IOERR);
	CHECK_EQ(fstat(disk, &st), 0);
	CHECK_EQ(st.st_size, SECTORS * SECTOR + 100);
	header(IN, SECTORS - 7);
	for (unsigned i = 1; i < 9; i++)
		p[i].flags = WRITE;
	CHECK_EQ(run(p, 10), 0);
	CHECK_EQ(ram[STATUS], IOERR);
	CHECK_EQ(ram[DATA + SECTOR], 0);
	header(IN, SECTORS - 8);
	CHECK_EQ(run(p, 10), 8 * SECTOR + 1);
	CHECK_EQ(ram[STATUS], OK);
	CHECK(data_is(DATA + SECTOR, (SECTORS - 8) * SECTOR, 8 * SECTOR));
	unplug_disk();
}

TEST(any_framing)
{
	/* Header in three parts, data shares descriptors with header and status. */
	const struct piece in[] = { { HEADER, 3, 0 },
				    { HEADER + 3, 12, 0 },
				    { HEADER + 15, 1, 0 },
				    { DATA, 100, WRITE },
				    { DATA + 100, SECTOR - 100 + 1, WRITE } };
	const struct piece out[] = { { HEADER, 16 + 100, 0 },
				     { DATA, SECTOR - 100, 0 },
				     { STATUS, 1, WRITE } };
	const struct piece one_each[] = { { HEADER, 16 + SECTOR, 0 }, { STATUS, 1, WRITE } };
	const struct piece empty_parts[] = { { HEADER, 16, 0 },	   { HEADER, 0, 0 },
					     { DATA, 0, WRITE },   { DATA, SECTOR, WRITE },
					     { STATUS, 1, WRITE }, { STATUS, 0, WRITE } };
	uint8_t got[SECTOR];

	plug_disk((struct blk_cfg){ 0 });
	header(IN, 9);
	ram[DATA + SECTOR] = UNTOUCHED;
	CHECK_EQ(run(in, 5), SECTOR + 1);
	CHECK_EQ(ram[DATA + SECTOR], OK);
	CHECK(data_is(DATA, 9 * SECTOR, SECTOR));

	header(OUT, 9);
	memset(ram + HEADER + 16, 0x11, 100);
	memset(ram + DATA, 0x22, SECTOR - 100);
	CHECK_EQ(run(out, 3), 1);
	CHECK_EQ(ram[STATUS], OK);
	CHECK_EQ(pread(disk, got, SECTOR, 9 * SECTOR), SECTOR);
	CHECK_EQ(got[99], 0x11);
	CHECK_EQ(got[100], 0x22);
	CHECK_EQ(got[SECTOR - 1], 0x22);

	header(OUT, 10);
	memset(ram + HEADER + 16, 0x33, SECTOR);
	CHECK_EQ(run(one_each, 2), 1);
	CHECK_EQ(ram[STATUS], OK);
	CHECK_EQ(pread(disk, got, SECTOR, 10 * SECTOR), SECTOR);
	CHECK_EQ(got[0], 0x33);
	CHECK_EQ(got[SECTOR - 1], 0x33);

	header(IN, 11);
	CHECK_EQ(run(empty_parts, 6), SECTOR + 1);
	CHECK_EQ(ram[STATUS], OK);
	CHECK(data_is(DATA, 11 * SECTOR, SECTOR));
	unplug_disk();
}

TEST(an_indirect_request_of_all_segments)
{
	uint32_t head, len;
	const unsigned n = 254;

	plug_disk((struct blk_cfg){ 0 });
	wr(R_STATUS, 0);
	run_device(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	header(IN, 0);
	desc(TABLE, 0, HEADER, 16, NEXT, 1);
	for (unsigned i = 0; i < n; i++) /* 250 of 2 bytes, 4 of 3 */
		desc(TABLE, i + 1, DATA + 4 * i, i < 250 ? 2 : 3, WRITE | NEXT, (uint16_t)(i + 2));
	desc(TABLE, n + 1, STATUS, 1, WRITE, 0);
	desc(Q_DESC, 0, TABLE, 16 * (n + 2), INDIRECT, 0);
	offer(0);
	kick();
	CHECK(used(&head, &len));
	CHECK_EQ(len, SECTOR + 1);
	CHECK_EQ(ram[STATUS], OK);
	CHECK(data_is(DATA + 4 * 249, 498, 2));
	CHECK(data_is(DATA + 4 * 253, 509, 3));
	unplug_disk();
}

TEST(wrong_directions_and_types)
{
	const struct piece in_extra[] = { { HEADER, 17, 0 },
					  { DATA, SECTOR, WRITE },
					  { STATUS, 1, WRITE } };
	const struct piece short_header[] = { { HEADER, 15, 0 }, { STATUS, 1, WRITE } };
	const struct piece no_header[] = { { STATUS, 1, WRITE } };

	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	CHECK_EQ(request(IN, 0, SECTOR, 0, 1), IOERR);	    /* data to be read by us */
	CHECK_EQ(request(OUT, 0, SECTOR, WRITE, 0), IOERR); /* and the other way */
	CHECK_EQ(request(FLUSH, 0, SECTOR, 0, 1), IOERR);
	CHECK_EQ(request(FLUSH, 0, SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(request(GET_ID, 0, 19, WRITE, 0), IOERR);
	CHECK_EQ(request(GET_ID, 0, 21, WRITE, 20), OK); /* the status follows a gap */
	CHECK_EQ(request(GET_ID, 0, 20, 0, 1), IOERR);
	for (uint32_t type = 2; type < 40; type++)
		if (type != FLUSH && type != GET_ID)
			CHECK_EQ(request(type, 0, SECTOR, WRITE, 0), UNSUPP);
	CHECK_EQ(request(0x80000000, 0, SECTOR, 0, 1), UNSUPP);
	CHECK_EQ(request(UINT32_MAX, 0, 0, 0, 1), UNSUPP);
	header(IN, 0);
	CHECK_EQ(run(in_extra, 3), 0);
	CHECK_EQ(ram[STATUS], IOERR);
	header(IN, 0);
	CHECK_EQ(run(short_header, 2), 1);
	CHECK_EQ(ram[STATUS], IOERR);
	header(IN, 0);
	CHECK_EQ(run(no_header, 1), 1);
	CHECK_EQ(ram[STATUS], IOERR);
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug_disk();
}

TEST(read_only_disks_are_not_written)
{
	uint8_t b;

	plug_disk((struct blk_cfg){ .read_only = true });
	memset(ram + DATA, 0xff, SECTOR);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), IOERR);
	CHECK_EQ(pread(disk, &b, 1, 1), 1);
	CHECK_EQ(b, pattern(1));
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}

TEST(no_room_for_a_status_needs_a_reset)
{
	const struct piece p[] = { { HEADER, 16, 0 }, { DATA, SECTOR, 0 } };
	uint32_t head, len;

	plug_disk((struct blk_cfg){ 0 });
	header(OUT, 0);
	chain_of(p, 2, 0);
	kick();
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	CHECK(!used(&head, &len));
	CHECK(vdev_idle(dev));
	CHECK_EQ(counter_get(&blk_metrics(dev)->event_fails), 1);
	wr(R_STATUS, 0);
	run_device(0);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}

TEST(a_file_that_became_shorter)
{
	plug_disk((struct blk_cfg){ 0 });
	memset(ram + DATA, 0x66, 4 * SECTOR);
	CHECK_EQ(ftruncate(disk, 5 * SECTOR), 0);
	CHECK_EQ(request(IN, 4, 4 * SECTOR, WRITE, SECTOR), IOERR); /* one sector came */
	CHECK(data_is(DATA, 4 * SECTOR, SECTOR));
	CHECK_EQ(ram[DATA + SECTOR], 0x66);
	CHECK_EQ(request(IN, 5, SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(request(IN, 60, SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 3);
	CHECK_EQ(counter_get(&blk_metrics(dev)->read_count), 0);
	CHECK_EQ(request(OUT, 10, SECTOR, 0, 1), OK); /* grows again */
	CHECK_EQ(request(IN, 10, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}

TEST(host_errors_are_io_errors)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	CHECK_EQ(faults_that_fail(IN, SECTOR, WRITE), 1);
	CHECK_EQ(faults_that_fail(OUT, SECTOR, 0), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 2);
	CHECK_EQ(rd(R_STATUS), RUN);
	CHECK_EQ(attempt(IN, SECTOR, WRITE), OK);
	CHECK_EQ(attempt(FLUSH, 0, 0), OK);
	unplug_disk();
}

TEST(a_failed_flush_is_not_forgotten)
{
	int other = make_disk(SECTORS * SECTOR);
	struct err e;

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(faults_that_fail(FLUSH, 0, 0), 1);
		/* The host would be able to now. */
		CHECK_EQ(attempt(FLUSH, 0, 0), IOERR);
		CHECK_EQ(attempt(OUT, SECTOR, 0), OK);
		CHECK_EQ(attempt(FLUSH, 0, 0), IOERR);
		if (i == 0) {
			wr(R_STATUS, 0);
			run_device(F_FLUSH);
		} else {
			CHECK_EQ(blk_replace(dev, fcntl(other, F_DUPFD_CLOEXEC, 0), &e), 0);
		}
		CHECK_EQ(attempt(FLUSH, 0, 0), OK);
	}
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 8);
	close(other);
	unplug_disk();
}

TEST(a_descriptor_opened_read_only_cannot_be_written)
{
	struct blk_cfg cfg = { .id = "x" };
	char path[64];
	struct err e;

	disk = make_disk(SECTOR);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	cfg.fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(cfg.fd >= 0);
	cfg.engine = next_engine();
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(0);
	CHECK_EQ(request(OUT, 0, SECTOR, 0, 1), IOERR); /* EBADF of the host */
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 1);
	unplug_disk();
}

TEST(a_flush_asks_the_host)
{
	struct blk_cfg cfg = { .id = "x", .fd = fd_event_create(), .cache = BLK_WRITEBACK };
	struct err e;

	cfg.engine = next_engine();
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(F_FLUSH);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), IOERR); /* an eventfd cannot be synced */
	CHECK_EQ(counter_get(&blk_metrics(dev)->flush_count), 0);
	unplug_disk();
}

TEST(a_sync_is_a_flush_of_ours)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct blk_cfg cfg = { .cache = i > 0 ? BLK_WRITEBACK : BLK_UNSAFE,
					     .read_only = i == 2 };
		int bad = fd_event_create(); /* cannot be synced */
		struct err e = { 0 };

		plug_disk(cfg);
		CHECK_EQ(blk_sync(dev, &e), 0);
		CHECK_EQ(dup2(bad, device_fd), device_fd);
		CHECK_EQ(blk_sync(dev, &e), i == 1 ? -EINVAL : 0);
		CHECK(i != 1 || strstr(e.msg, "block `rootfs': the file cannot be synced: "));
		CHECK_EQ(dup2(disk, device_fd), device_fd);
		CHECK_EQ(blk_sync(dev, &e), 0);
		/* The kernel has said it, and to us: the driver would not hear of it. */
		CHECK_EQ(request(FLUSH, 0, 0, 0, 1), i == 1 ? IOERR : OK);
		close(bad);
		unplug_disk();
	}
}

TEST(an_empty_disk)
{
	struct blk_cfg cfg = { .id = "empty" };
	struct err e;

	disk = make_disk(0);
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	cfg.engine = next_engine();
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(0);
	CHECK_EQ(rd(R_CONFIG), 0);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, 0), IOERR);
	CHECK_EQ(request(IN, 0, 0, WRITE, 1), OK);
	CHECK_EQ(ftruncate(disk, 4 * SECTOR + 5), 0);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, 0), IOERR); /* not before we say so */
	(void)fd_event_take(irq_fd);
	CHECK_EQ(blk_replace(dev, fcntl(disk, F_DUPFD_CLOEXEC, 0), &e), 0);
	CHECK_EQ(rd(R_ISR), VDEV_ISR_QUEUE | VDEV_ISR_CONFIG);
	CHECK(fd_event_take(irq_fd));
	CHECK_EQ(rd(R_GENERATION), 1);
	CHECK_EQ(rd(R_CONFIG), 4);
	CHECK_EQ(blk_tail(dev), 5);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK_EQ(counter_get(&blk_metrics(dev)->update_count), 1);
	CHECK_EQ(blk_replace(dev, 9999, &e), -EBADF);
	CHECK(strstr(e.msg, "block `empty'") != NULL);
	CHECK_EQ(counter_get(&blk_metrics(dev)->update_fails), 1);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}

TEST(a_turn_is_bounded)
{
	const struct piece p[] = { { HEADER, 16, 0 }, { STATUS, 1, WRITE } };
	enum { ALL = 150, BIG = 256 };

	plug_disk((struct blk_cfg){ 0 });
	wr(R_STATUS, 0);
	memset(ram, 0, BUF);
	to_features_ok(0);
	queue_setup(0);
	wr(R_QUEUE_READY, 0);
	wr(R_QUEUE_NUM, BIG);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
	header(FLUSH, 0);
	chain_of(p, 2, 0);
	for (unsigned i = 0; i < ALL; i++)
		put16(Q_AVAIL + 4 + 2 * i, 0);
	put16(Q_AVAIL + 2, ALL);
	wr(R_NOTIFY, 0);
	for (unsigned done = VDEV_BUDGET; done < ALL; done += VDEV_BUDGET) {
		CHECK_EQ(loop_turn(&loop, 0), 0);
		CHECK_EQ(get16(Q_USED + 2), done);
	}
	settle();
	CHECK_EQ(get16(Q_USED + 2), ALL);
	CHECK_EQ(counter_get(&blk_metrics(dev)->queue_event_count), 3); /* and no busy loop */
	CHECK_EQ(counter_get(&blk_metrics(dev)->no_avail_buffer), 0);
	kick();
	CHECK_EQ(counter_get(&blk_metrics(dev)->no_avail_buffer), 1);
	unplug_disk();
}
