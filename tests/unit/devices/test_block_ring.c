/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine `Async' alone: what takes its time, and what is ended before its time.
 * The disk is a pipe here, put into the ring's table behind the device's back: reads
 * wait for as long as the test wants, and come in any length.
 */
#define DISK_ASYNC
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/virtio/block/req.h"
#include "disk.h"
#include "hung_file.h"

enum { MANY = 256, TABLES = 0x4000, STATUSES = 0x8000 };

static int pipe_fd[2];

static void plug_pipe(enum blk_cache cache)
{
	plug_disk((struct blk_cfg){ .cache = cache });
	CHECK_EQ(pipe2(pipe_fd, O_CLOEXEC), 0);
	CHECK_EQ(ftruncate(disk, 0), 0); /* nothing in the page cache */
	swap_file(pipe_fd[0]);
}

static void unplug_pipe(void)
{
	unplug_disk();
	CHECK_EQ(close(pipe_fd[0]) + close(pipe_fd[1]), 0);
}

/* In one piece, so that one read gets it. */
static void feed(unsigned from, unsigned len)
{
	uint8_t bytes[SECTOR];

	for (unsigned i = 0; i < len; i++)
		bytes[i] = pattern(from + i);
	CHECK_EQ(write(pipe_fd[1], bytes, len), len);
}

/* Some turns, for the ring may have work that never ends. */
static void turn(void)
{
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
}

/* A queue of 256 entries, empty. */
static void start_long_queue(void)
{
	wr(R_STATUS, 0);
	memset(ram, 0, BUF);
	seen_used = 0;
	to_features_ok(VIRTIO_F_INDIRECT_DESC | F_FLUSH);
	queue_setup(0);
	wr(R_QUEUE_READY, 0);
	wr(R_QUEUE_NUM, MANY);
	wr(R_QUEUE_READY, 1);
	wr(R_STATUS, RUN);
}

/* Requests of a table each, of header, `len' bytes of data and status. */
static void offer_tables(uint32_t type, unsigned n, uint32_t len)
{
	uint16_t data = type == IN ? WRITE : 0;

	header(type, 0);
	for (unsigned i = 0; i < n; i++) {
		unsigned table = TABLES + 48 * i;

		ram[STATUSES + i] = UNTOUCHED;
		desc(table, 0, HEADER, 16, NEXT, 1);
		desc(table, 1, DATA + SECTOR * i, len, data | NEXT, 2);
		desc(table, 2, STATUSES + i, 1, WRITE, 0);
		desc(Q_DESC, i, table, 48, INDIRECT, 0);
		put16(Q_AVAIL + 4 + 2 * i, (uint16_t)i);
	}
	put16(Q_AVAIL + 2, (uint16_t)n);
	wr(R_NOTIFY, 0);
}

static void offer_many(uint32_t type, unsigned n)
{
	start_long_queue();
	offer_tables(type, n, type == FLUSH ? 0 : SECTOR);
}

static unsigned answered(void)
{
	return get16(Q_USED + 2);
}

static unsigned with_status(unsigned n, uint8_t status)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += ram[STATUSES + i] == status;
	return found;
}

/* --- reset ------------------------------------------------------------------------- */

static bool reset_done;

static void *reset_thread(void *arg)
{
	(void)arg;
	wr(R_STATUS, 0);
	__atomic_store_n(&reset_done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static pthread_t begin_reset(void)
{
	pthread_t id;

	reset_done = false;
	CHECK_EQ(pthread_create(&id, NULL, reset_thread, NULL), 0);
	return id;
}

static void end_reset(pthread_t id)
{
	while (!__atomic_load_n(&reset_done, __ATOMIC_SEQ_CST))
		CHECK_EQ(loop_turn(&loop, 10), 0);
	CHECK_EQ(pthread_join(id, NULL), 0);
	CHECK_EQ(rd(R_STATUS), 0);
	CHECK(vdev_idle(dev));
	CHECK_EQ(uring_inflight(ring), 0);
}

/* As a vCPU does it, while the loop turns. */
static void reset(void)
{
	end_reset(begin_reset());
}

static void check_works(void)
{
	swap_file(disk);
	CHECK_EQ(ftruncate(disk, SECTORS * SECTOR), 0);
	wr(R_STATUS, 0);
	run_device(F_FLUSH);
	CHECK_EQ(request(OUT, 3, SECTOR, 0, 1), OK);
	CHECK_EQ(request(IN, 3, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK_EQ(request(FLUSH, 0, 0, 0, 1), OK);
}

TEST(a_reset_ends_reads_that_would_not_end)
{
	plug_pipe(BLK_UNSAFE);
	for (unsigned n = 1; n <= MANY; n = n == 1 ? BLK_ASYNC_DEPTH : 2 * n) {
		offer_many(IN, n);
		turn();
		CHECK_EQ(answered(), 0);
		CHECK_EQ(uring_inflight(ring), n < BLK_ASYNC_DEPTH ? n : BLK_ASYNC_DEPTH);
		reset();
		CHECK_EQ(answered(), n < BLK_ASYNC_DEPTH ? n : BLK_ASYNC_DEPTH);
		CHECK_EQ(with_status(n, OK), 0);
	}
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0); /* nobody's fault */
	feed(0, SECTOR);					    /* nobody is there to take it */
	turn();
	CHECK_EQ(ram[DATA], 0);
	check_works();
	unplug_pipe();
}

TEST(a_reset_ends_writes_that_would_not_end)
{
	plug_pipe(BLK_UNSAFE);
	swap_file(pipe_fd[1]);
	offer_many(OUT, BLK_ASYNC_DEPTH + 64); /* more than a pipe holds */
	turn();
	CHECK(uring_inflight(ring) > 0);
	reset();
	check_works();
	unplug_pipe();
}

TEST(a_reset_between_the_parts_of_a_read)
{
	plug_pipe(BLK_UNSAFE);
	offer_many(IN, 2);
	turn();
	feed(0, 100);
	turn();
	CHECK_EQ(uring_inflight(ring), 2);
	reset();
	check_works();
	unplug_pipe();
}

/* The cancel comes too late for the part, which was answered, and too early for the rest. */
TEST(a_reset_while_a_part_is_answered)
{
	pthread_t id;

	plug_pipe(BLK_UNSAFE);
	offer_many(IN, 1);
	turn();
	id = begin_reset();
	usleep(50000); /* the device has been asked before the pipe */
	feed(0, 100);
	end_reset(id);
	check_works();
	unplug_pipe();
}

TEST(a_reset_among_flushes)
{
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	for (unsigned i = 0; i < 20; i++) {
		offer_many(FLUSH, 64);
		CHECK_EQ(loop_turn(&loop, 0), 0);
		reset();
	}
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
	check_works();
	unplug_disk();
}

/* --- transfers --------------------------------------------------------------------- */

TEST(a_read_in_small_parts)
{
	const struct piece p[] = { { HEADER, 16, 0 },
				   { DATA, 200, WRITE },
				   { DATA + 200, SECTOR - 200 + 1, WRITE } };
	uint32_t head, len;

	plug_pipe(BLK_UNSAFE);
	header(IN, 0);
	chain_of(p, 3, 0);
	wr(R_NOTIFY, 0);
	turn();
	for (unsigned i = 0; i < SECTOR; i += 64) {
		CHECK(!used(&head, &len));
		feed(i, 64);
		turn();
	}
	settle();
	CHECK(used(&head, &len));
	CHECK_EQ(len, SECTOR + 1);
	CHECK(data_is(DATA, 0, SECTOR));
	CHECK_EQ(ram[DATA + SECTOR], OK);
	unplug_pipe();
}

/* In the page cache: answered in the turn of the kick, the ring is not asked. */
TEST(a_cached_read)
{
	uint8_t bytes[3 * SECTOR];
	int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct iovec iov = { bytes, sizeof(bytes) };
	struct err e;

	if (file < 0)
		SKIP("no unnamed files in /tmp");
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	CHECK_EQ(write(file, bytes, sizeof(bytes)), sizeof(bytes));
	if (preadv2(file, &iov, 1, 0, RWF_NOWAIT) != sizeof(bytes))
		SKIP("the file system of /tmp has no RWF_NOWAIT");
	plug_disk((struct blk_cfg){ 0 });
	CHECK_EQ(blk_replace(dev, fcntl(file, F_DUPFD_CLOEXEC, 0), &e), 0);
	header(IN, 1);
	chain_of((const struct piece[]){ { HEADER, 16, 0 },
					 { DATA, 2 * SECTOR, WRITE },
					 { STATUS, 1, WRITE } },
		 3, 0);
	wr(R_NOTIFY, 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(ram[STATUS], OK);
	CHECK(data_is(DATA, SECTOR, 2 * SECTOR));
	/* The rest is not in the cache, nor anywhere else. */
	unplug_disk();
	plug_disk((struct blk_cfg){ 0 });
	CHECK_EQ(blk_replace(dev, fcntl(file, F_DUPFD_CLOEXEC, 0), &e), 0);
	CHECK_EQ(ftruncate(file, 2 * SECTOR), 0);
	CHECK_EQ(request(IN, 1, 2 * SECTOR, WRITE, SECTOR), IOERR);
	CHECK(data_is(DATA, SECTOR, SECTOR));
	CHECK_EQ(close(file), 0);
	unplug_disk();
}

static uint64_t moved(const struct blk *b)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < BLK_ASYNC_DEPTH * BLK_REQ_OPS; i++)
		if (b->ops[i].done > most)
			most = b->ops[i].done;
	return most;
}

/* However long a request is, a turn moves no more of it than a part. */
static void check_parts(uint32_t type, uint32_t at, unsigned segments, unsigned bytes)
{
	struct blk *b = container_of(dev, struct blk, vdev);
	uint16_t flags = type == IN ? WRITE : 0;
	uint64_t before, now = 0;
	uint32_t head, len;
	unsigned most = 0;

	memset(b->ops, 0, BLK_ASYNC_DEPTH * BLK_REQ_OPS * sizeof(*b->ops));
	header(type, 0);
	desc(TABLE, 0, HEADER, 16, NEXT, 1);
	for (uint16_t i = 1; i <= segments; i++)
		desc(TABLE, i, at, bytes, flags | NEXT, (uint16_t)(i + 1));
	desc(TABLE, segments + 1, STATUS, 1, WRITE, 0);
	desc(Q_DESC, 0, TABLE, 16 * (segments + 2), INDIRECT, 0);
	offer(0);
	wr(R_NOTIFY, 0);
	while (!used(&head, &len)) {
		before = now;
		CHECK_EQ(loop_turn(&loop, 1000), 0);
		now = moved(b);
		if (now - before > most)
			most = (unsigned)(now - before);
	}
	CHECK_EQ(ram[STATUS], OK);
	CHECK_EQ(len, type == IN ? segments * bytes + 1 : 1);
	CHECK_EQ(now, segments * bytes);
	CHECK(most > 0 && most <= BLK_ASYNC_PART);
}

TEST(a_long_request_in_parts)
{
	enum { BYTES = 12 << 20, LONG = 5 << 20, MORE_RAM = 1 << 28 };
	static _Alignas(4096) uint8_t more_ram[LONG];

	plug_disk((struct blk_cfg){ 0 });
	CHECK_EQ(ftruncate(disk, BYTES), 0);
	CHECK_EQ(blk_replace(dev, fcntl(disk, F_DUPFD_CLOEXEC, 0), &(struct err){ 0 }), 0);
	wr(R_STATUS, 0);
	run_device(VIRTIO_F_INDIRECT_DESC);
	CHECK_EQ(gmem_add(&mem, MORE_RAM, LONG, more_ram), 0);
	for (uint32_t type = IN; type <= OUT; type++) {
		check_parts(type, 0x80000, 24, BYTES / 24);
		check_parts(type, 0x80000, 21, 0x70000); /* of segments that do not fill it */
		check_parts(type, MORE_RAM, 2, LONG);
	}
	unplug_disk();
}

TEST(an_end_in_the_middle_of_a_read)
{
	plug_pipe(BLK_UNSAFE);
	feed(0, 100);
	CHECK_EQ(close(pipe_fd[1]), 0);
	CHECK_EQ(request(IN, 0, SECTOR, WRITE, 100), IOERR);
	CHECK(data_is(DATA, 0, 100));
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 1);
	pipe_fd[1] = dup(disk);
	unplug_pipe();
}

TEST(a_full_ring_holds_the_rest_back)
{
	uint64_t kicks;

	plug_pipe(BLK_UNSAFE);
	offer_many(IN, MANY);
	turn();
	CHECK_EQ(uring_inflight(ring), BLK_ASYNC_DEPTH);
	kicks = counter_get(&blk_metrics(dev)->queue_event_count);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(counter_get(&blk_metrics(dev)->queue_event_count), kicks); /* no spinning */
	CHECK_EQ(counter_get(&blk_metrics(dev)->io_engine_throttled_events), 1);
	for (unsigned i = 0; i < MANY; i++) {
		feed(0, SECTOR);
		CHECK_EQ(loop_turn(&loop, 0), 0);
		CHECK(uring_inflight(ring) <= BLK_ASYNC_DEPTH);
	}
	settle();
	CHECK_EQ(answered(), MANY);
	CHECK_EQ(with_status(MANY, OK), MANY);
	CHECK_EQ(counter_get(&blk_metrics(dev)->read_bytes), MANY * SECTOR);
	unplug_pipe();
}

/* Requests of many operations each: the ring has room for eight of them at a time. */
TEST(a_request_of_many_operations_waits_for_room_for_all)
{
	enum { REQUESTS = 40, RANGES = 16 };
	uint8_t last[SECTOR];

	plug_disk((struct blk_cfg){ .discard = true });
	start_long_queue();
	for (unsigned i = 0; i < REQUESTS * RANGES; i++) {
		const uint64_t sector = i % SECTORS;
		const uint32_t one = 1;
		uint8_t *at = ram + DATA + i / RANGES * SECTOR + i % RANGES * 16;

		memcpy(at, &sector, sizeof(sector));
		memcpy(at + 8, &one, sizeof(one));
	}
	offer_tables(ZEROES, REQUESTS, RANGES * 16);
	while (answered() < REQUESTS) {
		CHECK_EQ(loop_turn(&loop, 1000), 0);
		CHECK(uring_inflight(ring) <= BLK_ASYNC_DEPTH);
	}
	CHECK_EQ(with_status(REQUESTS, OK), REQUESTS);
	CHECK(counter_get(&blk_metrics(dev)->io_engine_throttled_events) > 0);
	settle();
	CHECK_EQ(pread(disk, last, SECTOR, (SECTORS - 1) * SECTOR), SECTOR);
	CHECK_EQ(last[0] | last[SECTOR - 1], 0);
	unplug_disk();
}

TEST(a_pause_waits_for_what_runs)
{
	struct err e;

	plug_pipe(BLK_UNSAFE);
	offer_many(IN, 2);
	turn();
	vdev_pause(dev);
	feed(0, SECTOR);
	while (answered() == 0)
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	CHECK(!vdev_idle(dev));
	CHECK_EQ(blk_replace(dev, disk, &e), -EBUSY);
	feed(0, SECTOR);
	settle();
	CHECK(vdev_idle(dev));
	CHECK_EQ(with_status(2, OK), 2);
	vdev_resume(dev);
	settle();
	check_works();
	unplug_pipe();
}

/* --- files that hang ----------------------------------------------------------------- */

/* Requests to it that nobody answers. */
static void plug_hung(uint32_t type)
{
	hung_open();
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	swap_file(hung_file);
	offer_many(type, BLK_ASYNC_DEPTH);
	turn();
	CHECK_EQ(uring_inflight(ring), BLK_ASYNC_WAITS);
}

static void unplug_hung(void)
{
	unplug_disk();
	hung_close();
}

static void on_other(struct uring_op *op, int res)
{
	CHECK(res >= 0);
	op->done = NULL;
}

static void finish_other(struct uring_op *op)
{
	for (unsigned i = 0; i < 10 && op->done; i++)
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	CHECK(!op->done);
}

/* A sync of the other drive needs a thread of the kernel's, and so does a read that waits. */
TEST(a_file_that_hangs_leaves_threads_to_the_others)
{
	struct uring_op sync = { .done = on_other }, read = { .done = on_other, .waits = true };
	uint8_t byte;
	struct iovec iov = { &byte, 1 };

	for (uint32_t type = IN; type <= OUT; type++) {
		plug_hung(type);
		CHECK_EQ(uring_set_file(ring, 1, disk), 0);
		uring_fdatasync(ring, &sync, 1);
		uring_readv(ring, &read, 1, &iov, 1, 0);
		finish_other(&sync);
		finish_other(&read);
		CHECK_EQ(answered(), 0);
		hung_answer();
		settle();
		CHECK_EQ(answered(), BLK_ASYNC_DEPTH);
		CHECK_EQ(with_status(BLK_ASYNC_DEPTH, OK), BLK_ASYNC_DEPTH);
		check_works();
		unplug_hung();
		sync.done = read.done = on_other;
	}
}

static bool cancelled(void)
{
	const struct blk *b = container_of(dev, struct blk, vdev);

	return b->ops[0].cancelled;
}

/* What no thread has begun is not begun any more. */
TEST(a_reset_while_a_file_hangs)
{
	pthread_t id;

	plug_hung(IN);
	id = begin_reset();
	for (unsigned i = 0; i < 10000 && !cancelled(); i++)
		CHECK_EQ(loop_turn(&loop, 1), 0);
	CHECK(cancelled());
	CHECK(!__atomic_load_n(&reset_done, __ATOMIC_SEQ_CST));
	hung_answer();
	end_reset(id);
	CHECK(with_status(BLK_ASYNC_DEPTH, OK) <= BLK_ASYNC_WAITS);
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
	check_works();
	unplug_hung();
}

/* Freeing and zeroing take a thread each as well, whatever the file. */
TEST(ranges_take_no_more_threads_than_reads)
{
	enum { REQUESTS = 40 };

	plug_disk((struct blk_cfg){ .discard = true });
	start_long_queue();
	for (unsigned i = 0; i < REQUESTS; i++)
		put16(DATA + SECTOR * i + 8, 1);
	offer_tables(ZEROES, REQUESTS, 16);
	while (answered() < REQUESTS) {
		CHECK(uring_inflight(ring) <= BLK_ASYNC_WAITS);
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	}
	CHECK_EQ(with_status(REQUESTS, OK), REQUESTS);
	unplug_disk();
}

/* The kernel does not put these in a row, as it does with those to a regular file. */
TEST(writes_to_a_block_device_take_no_more_threads_either)
{
	int fd;

	plug_disk((struct blk_cfg){ 0 });
	fd = make_loop(SECTOR);
	swap_file(fd);
	offer_many(OUT, BLK_ASYNC_DEPTH);
	while (answered() < BLK_ASYNC_DEPTH) {
		CHECK(uring_inflight(ring) <= BLK_ASYNC_WAITS);
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	}
	CHECK_EQ(with_status(BLK_ASYNC_DEPTH, OK), BLK_ASYNC_DEPTH);
	check_works();
	unplug_disk();
	CHECK_EQ(close(fd), 0);
}

/* --- flushes ----------------------------------------------------------------------- */

TEST(flushes_offered_at_once_are_all_carried_out)
{
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	offer_many(FLUSH, 100);
	while (answered() < 100) {
		CHECK_EQ(loop_turn(&loop, 1000), 0);
		CHECK(uring_inflight(ring) <= 1); /* see the top of async.c */
	}
	CHECK_EQ(with_status(100, OK), 100);
	CHECK_EQ(counter_get(&blk_metrics(dev)->flush_count), 100);
	unplug_disk();
}

TEST(one_that_fails_fails_all_behind_it)
{
	bool failed = false;

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	plug_disk((struct blk_cfg){ .cache = BLK_WRITEBACK });
	for (unsigned n = 0; !failed; n++) {
		offer_many(FLUSH, 10);
		fault_arm(n);
		settle();
		CHECK(fault_fired());
		fault_arm(-1);
		failed = with_status(10, IOERR) > 0;
	}
	CHECK_EQ(with_status(10, IOERR), 10);
	unplug_disk();
}

/* --- files ------------------------------------------------------------------------- */

/* The kernel empties the slot before it sees that it will not have the new file. */
TEST(a_file_that_a_ring_refuses_leaves_the_old_one)
{
	struct io_uring_params p = { 0 };
	int other = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct err e = { 0 };

	CHECK(other >= 0);
	plug_disk((struct blk_cfg){ 0 });
	CHECK(blk_replace(dev, other, &e) < 0);
	CHECK(strstr(e.msg, "io_engine `Async'") != NULL);
	CHECK_EQ(counter_get(&blk_metrics(dev)->update_fails), 1);
	CHECK_EQ(request(OUT, 3, SECTOR, 0, 1), OK);
	CHECK_EQ(close(other), 0);
	unplug_disk();
}

TEST(creation_under_faults)
{
	struct err e;

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	disk = make_disk(SECTOR);
	for (unsigned n = 0;; n++) {
		struct blk_cfg cfg = { .id = "x", .engine = next_engine() };
		int r;

		cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
		slots = 0;
		e = (struct err){ 0 };
		fault_arm(n);
		r = blk_create(&cfg, &dev, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK(n >= 6);
			break;
		}
		CHECK(strstr(e.msg, "block `x'") != NULL);
		cfg.engine->class->destroy(cfg.engine); /* both are still ours */
		CHECK_EQ(close(cfg.fd), 0);
	}
	plug(dev);
	unplug_disk(); /* nothing was ever in flight */
}

TEST(an_engine_without_memory)
{
	struct blk_engine *engine = NULL;
	struct err e = { 0 };

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	fault_arm(0);
	CHECK_EQ(blk_async_create(NULL, 0, &engine, &e), -ENOMEM);
	fault_arm(-1);
	CHECK(!engine);
	CHECK(strstr(e.msg, "io_engine `Async'") != NULL);
}
