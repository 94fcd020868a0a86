/* SPDX-License-Identifier: Apache-2.0 */
/* An engine whose completions the test scripts, and saved state. */
#include "devices/virtio/block/engine.h"
#include "disk.h"

enum { DEPTH = 2 };

static struct blk_op *begun[DEPTH];
static unsigned nbegun, cancelled, destroyed;

static bool slow_start(struct blk_engine *engine, struct blk_op *op)
{
	(void)engine;
	CHECK(nbegun < DEPTH);
	begun[nbegun++] = op;
	return false;
}

static void slow_cancel(struct blk_engine *engine)
{
	(void)engine;
	cancelled++;
}

static int slow_set_file(struct blk_engine *engine, int fd)
{
	(void)engine;
	return fd < 0 ? -EBADF : 0;
}

static void slow_destroy(struct blk_engine *engine)
{
	(void)engine;
	destroyed++;
}

static const struct blk_engine_class slow_class = {
	.name = "slow",
	.depth = DEPTH,
	.start = slow_start,
	.cancel = slow_cancel,
	.set_file = slow_set_file,
	.destroy = slow_destroy,
};
static struct blk_engine slow = { .class = &slow_class };

/* Ends the i-th operation: carried out, or with an error. */
static void end(unsigned i, int error)
{
	struct blk_op *op = begun[i];

	if (error == 0)
		CHECK(blk_sync_engine.class->start(&blk_sync_engine, op));
	else
		op->error = error;
	begun[i] = begun[--nbegun];
	blk_op_done(op);
}

static void offer_read(unsigned first, unsigned sector)
{
	const struct piece p[] = { { HEADER + 16 * first, 16, 0 },
				   { DATA + SECTOR * first, SECTOR, WRITE },
				   { STATUS + first, 1, WRITE } };
	uint64_t s = sector;

	memset(ram + p[0].at, 0, 16);
	memcpy(ram + p[0].at + 8, &s, 8);
	ram[p[2].at] = UNTOUCHED;
	chain_of(p, 3, first);
}

TEST(an_engine_that_takes_its_time)
{
	uint32_t head, len;
	struct err e;

	plug_disk((struct blk_cfg){ .engine = &slow });
	for (unsigned i = 0; i < 5; i++)
		offer_read(3 * i, i);
	kick();
	CHECK_EQ(nbegun, DEPTH); /* the rest waits without spinning */
	CHECK_EQ(counter_get(&blk_metrics(dev)->io_engine_throttled_events), 1);
	CHECK_EQ(counter_get(&blk_metrics(dev)->queue_event_count), 1);
	CHECK(!vdev_idle(dev));
	CHECK_EQ(blk_replace(dev, disk, &e), -EBUSY);
	end(1, 0); /* the second one first */
	CHECK(used(&head, &len));
	CHECK_EQ(head, 3);
	CHECK_EQ(len, SECTOR + 1);
	CHECK(data_is(DATA + 3 * SECTOR, SECTOR, SECTOR));
	settle();
	CHECK_EQ(nbegun, DEPTH);
	end(0, -EIO);
	CHECK(used(&head, &len));
	CHECK_EQ(head, 0);
	CHECK_EQ(len, 0);
	CHECK_EQ(ram[STATUS], IOERR);
	for (unsigned i = 0; i < 3; i++) {
		settle();
		CHECK(nbegun > 0);
		end(0, 0);
		CHECK(used(&head, &len));
	}
	CHECK(vdev_idle(dev));
	CHECK_EQ(nbegun, 0);
	unplug_disk();
}

TEST(a_head_in_flight_may_not_come_again)
{
	plug_disk((struct blk_cfg){ .engine = &slow });
	offer_read(0, 1);
	offer(0);
	kick();
	CHECK_EQ(nbegun, 1);
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	end(0, 0); /* its memory is still the request's own */
	CHECK_EQ(ram[STATUS], OK);
	CHECK(vdev_idle(dev));
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	unplug_disk();
}

/* --- saved state ------------------------------------------------------------------- */

static uint8_t first[256], second[256];
static enum blk_cache cache; /* of the new device */

static size_t save(uint8_t *buf)
{
	struct state_out out = { .buf = buf, .cap = sizeof(first) };

	vdev_pause(dev);
	CHECK_EQ(virtio_mmio_save(mmio, &out), 0);
	return out.len;
}

/* A new device on a file of `bytes' takes the state. */
static int reload(size_t len, size_t bytes, struct err *e)
{
	struct blk_cfg cfg = { .id = "rootfs", .fd = make_disk(bytes), .cache = cache };
	struct state_in in = { .buf = first, .len = len };

	unplug_disk();
	disk = fcntl(cfg.fd, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, e), 0);
	plug(dev);
	vdev_pause(dev);
	return virtio_mmio_load(mmio, &in, e);
}

TEST(a_request_in_progress_survives_save_and_load)
{
	uint32_t head, used_len;
	char id[20];
	struct err e;
	size_t len;

	plug_disk((struct blk_cfg){ 0 });
	CHECK_EQ(request(GET_ID, 0, 20, WRITE, 21), OK);
	memcpy(id, ram + DATA, sizeof(id));
	vdev_pause(dev);
	offer_read(3, 7);
	kick();
	CHECK_EQ(ram[STATUS + 3], UNTOUCHED);
	len = save(first);
	CHECK_EQ(reload(len, SECTORS * SECTOR, &e), 0);
	CHECK_EQ(save(second), len);
	CHECK_EQ(memcmp(first, second, len), 0);
	vdev_resume(dev);
	settle();
	CHECK(used(&head, &used_len));
	CHECK_EQ(head, 3);
	CHECK_EQ(used_len, SECTOR + 1);
	CHECK_EQ(ram[STATUS + 3], OK);
	CHECK(data_is(DATA + 3 * SECTOR, 7 * SECTOR, SECTOR));
	CHECK_EQ(request(GET_ID, 0, 20, WRITE, 21), OK); /* another file, the same disk */
	CHECK_EQ(memcmp(id, ram + DATA, sizeof(id)), 0);
	unplug_disk();
}

TEST(a_saved_disk_wants_a_file_as_large)
{
	struct err e = { 0 };
	size_t len;

	plug_disk((struct blk_cfg){ 0 });
	len = save(first);
	CHECK_EQ(reload(len, SECTORS * SECTOR - 1, &e), -EINVAL);
	CHECK(strstr(e.msg, "smaller") != NULL);
	CHECK_EQ(reload(len, (SECTORS + 9) * SECTOR, &e), 0);
	CHECK_EQ(rd(R_CONFIG), SECTORS); /* as the guest knows it */
	CHECK_EQ(reload(len - 1, SECTORS * SECTOR, &e), -EINVAL);
	unplug_disk();
}

TEST(a_failed_flush_goes_along)
{
	struct err e = { 0 };
	size_t len, bare;
	int bad;

	cache = BLK_WRITEBACK;
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	bare = save(first);
	vdev_resume(dev);
	bad = fd_event_create(); /* cannot be synced */
	CHECK_EQ(dup2(bad, device_fd), device_fd);
	close(bad);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), IOERR);
	len = save(first);
	CHECK_EQ(reload(len, SECTORS * SECTOR, &e), 0);
	CHECK_EQ(save(second), len);
	CHECK_EQ(memcmp(first, second, len), 0);
	vdev_resume(dev);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), IOERR); /* this file could be synced */
	wr(R_STATUS, 0);
	run_device(F_FLUSH);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
	for (size_t cut = bare + 1; cut < len; cut++)
		CHECK_EQ(reload(cut, SECTORS * SECTOR, &e), -EINVAL);
	memset(first + bare, 0, len - bare);
	CHECK_EQ(reload(len, SECTORS * SECTOR, &e), -EINVAL); /* no error */
	memset(first + bare, 0xff, len - bare);
	CHECK_EQ(reload(len, SECTORS * SECTOR, &e), -EINVAL);
	unplug_disk();
	cache = BLK_UNSAFE;
}
