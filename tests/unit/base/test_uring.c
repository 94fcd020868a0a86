/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uring.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "test.h"
#include "vmm/descriptors.h"

enum { DEPTH = 8, FILES = 4, WORKERS = 6, TURNS_MAX = 10000, NOBODY = 65534 };

static struct loop loop = { .epfd = -1 };
static struct uring *ring;

static struct call {
	struct uring_op op;
	int res;
	bool called;
} calls[DEPTH + 1];

static void on_done(struct uring_op *op, int res)
{
	struct call *call = container_of(op, struct call, op);

	CHECK(!call->called);
	call->called = true;
	call->res = res;
}

static void start(void)
{
	const struct uring_cfg cfg = { .depth = DEPTH, .files = FILES, .workers = WORKERS };
	struct err e = { 0 };

	CHECK_EQ(loop_init(&loop), 0);
	if (uring_create(&cfg, &loop, &ring, &e) < 0)
		SKIP(e.msg);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		calls[i] = (struct call){ .op.done = on_done };
}

static void stop(void)
{
	uring_destroy(ring);
	loop_fini(&loop);
}

static void turn_until_idle(void)
{
	for (int i = 0; i < TURNS_MAX && uring_inflight(ring) > 0; i++)
		CHECK_EQ(loop_turn(&loop, 1000), 0);
	CHECK_EQ(uring_inflight(ring), 0);
}

static int make_file(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	return fd;
}

TEST(moves_data_and_syncs)
{
	char text[] = "hello, ring", back[sizeof(text)] = "";
	struct iovec out = { text, sizeof(text) }, in = { back, sizeof(back) };
	int fd = make_file(8192);

	start();
	CHECK_EQ(uring_set_file(ring, 2, fd), 0);
	uring_writev(ring, &calls[0].op, 2, &out, 1, 4096);
	turn_until_idle();
	CHECK_EQ(calls[0].res, sizeof(text));
	uring_fdatasync(ring, &calls[1].op, 2);
	turn_until_idle();
	CHECK_EQ(calls[1].res, 0);
	uring_readv(ring, &calls[2].op, 2, &in, 1, 4096);
	turn_until_idle();
	CHECK_EQ(calls[2].res, sizeof(text));
	CHECK(memcmp(text, back, sizeof(text)) == 0);
	close(fd);
	stop();
}

TEST(completions_are_polled_for)
{
	char in[4096];
	struct iovec iov = { in, sizeof(in) };

	start();
	loop_set_poll_max(&loop, 600 * USEC_PER_SEC);
	loop.poll.time = loop.poll.max;
	CHECK_EQ(uring_set_file(ring, 0, make_file(sizeof(in))), 0);
	for (unsigned round = 0; round < 100; round++) {
		calls[0].called = false;
		uring_readv(ring, &calls[0].op, 0, &iov, 1, 0);
		turn_until_idle();
		CHECK_EQ(calls[0].res, sizeof(in));
	}
	/* One that is watched for and never comes, and a ring that goes. */
	CHECK_EQ(loop_turn(&loop, 0), 0);
	stop();
}

TEST(allocates_and_punches)
{
	struct stat before, after;
	int fd = make_file(1 << 20);

	CHECK_EQ(fallocate(fd, 0, 0, 1 << 20), 0);
	CHECK_EQ(fstat(fd, &before), 0);
	start();
	CHECK_EQ(uring_set_file(ring, 0, fd), 0);
	uring_fallocate(ring, &calls[0].op, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096,
			512 << 10);
	turn_until_idle();
	CHECK_EQ(calls[0].res, 0);
	CHECK_EQ(fstat(fd, &after), 0);
	CHECK_EQ(before.st_blocks - after.st_blocks, (512 << 10) / 512);
	stop();
}

TEST(a_turn_submits_all_that_it_started)
{
	static char buf[DEPTH][512];
	struct iovec iov[DEPTH];
	int fd = make_file(DEPTH * 512);

	start();
	CHECK_EQ(uring_set_file(ring, 1, fd), 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		uring_readv(ring, &calls[i].op, 1, &iov[i], 1, i * sizeof(buf[i]));
	}
	CHECK_EQ(uring_inflight(ring), DEPTH);
	turn_until_idle();
	for (unsigned i = 0; i < DEPTH; i++)
		CHECK_EQ(calls[i].res, sizeof(buf[i]));
	stop();
}

TEST(a_slot_can_be_emptied_and_used_again)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	int fd = make_file(1);

	start();
	CHECK_EQ(uring_set_file(ring, 3, fd), 0);
	CHECK_EQ(uring_set_file(ring, 3, -1), 0);
	uring_readv(ring, &calls[0].op, 3, &iov, 1, 0);
	turn_until_idle();
	CHECK_EQ(calls[0].res, -EBADF);
	CHECK_EQ(uring_set_file(ring, 3, fd), 0);
	uring_readv(ring, &calls[1].op, 3, &iov, 1, 0);
	turn_until_idle();
	CHECK_EQ(calls[1].res, 1);
	CHECK(uring_set_file(ring, FILES, fd) < 0);
	stop();
}

TEST(a_cancel_ends_what_waits)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	int p[2];

	start();
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(uring_set_file(ring, 0, p[0]), 0);
	/* Pipes have no position; -1 as the offset says so. */
	uring_readv(ring, &calls[0].op, 0, &iov, 1, UINT64_MAX);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(!calls[0].called);
	uring_cancel(ring, &calls[0].op);
	turn_until_idle();
	CHECK(calls[0].res == -ECANCELED || calls[0].res == -EINTR);
	stop();
}

TEST(cancels_fit_beside_a_full_ring)
{
	static char buf[DEPTH];
	struct iovec iov[DEPTH];
	int p[2];

	start();
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(uring_set_file(ring, 0, p[0]), 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		iov[i] = (struct iovec){ &buf[i], 1 };
		uring_readv(ring, &calls[i].op, 0, &iov[i], 1, UINT64_MAX);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		uring_cancel(ring, &calls[i].op);
	turn_until_idle();
	for (unsigned i = 0; i < DEPTH; i++)
		CHECK(calls[i].called && calls[i].res < 0);
	stop();
}

TEST(cancels_beyond_the_depth_are_left_out)
{
	static char buf[DEPTH];
	struct iovec iov[DEPTH];
	int p[2];

	start();
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(uring_set_file(ring, 0, p[0]), 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		iov[i] = (struct iovec){ &buf[i], 1 };
		uring_readv(ring, &calls[i].op, 0, &iov[i], 1, UINT64_MAX);
	}
	for (unsigned i = 0; i < 4 * DEPTH; i++)
		uring_cancel(ring, &calls[i % DEPTH].op);
	turn_until_idle();
	/* And there is room again. */
	calls[0].called = false;
	uring_readv(ring, &calls[0].op, 0, &iov[0], 1, UINT64_MAX);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	uring_cancel(ring, &calls[0].op);
	turn_until_idle();
	CHECK(calls[0].called);
	stop();
}

TEST(what_could_not_be_submitted_goes_later)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	int fd = make_file(1);

	start();
	CHECK_EQ(uring_set_file(ring, 0, fd), 0);
	fault_arm(0);
	uring_readv(ring, &calls[0].op, 0, &iov, 1, 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
#ifdef WISP_FAULTS
	CHECK(fault_fired());
	CHECK_EQ(uring_inflight(ring), 1);
#endif
	turn_until_idle();
	CHECK_EQ(calls[0].res, 1);
	close(fd);
	stop();
}

TEST(everything_else_is_refused)
{
	static const uint8_t allowed[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
					   IORING_OP_FALLOCATE, IORING_OP_ASYNC_CANCEL };

	start();
	for (unsigned op = 0; op < 64; op++) {
		bool ours = memchr(allowed, (int)op, sizeof(allowed)) != NULL;

		if (ours)
			CHECK(uring_try(ring, (uint8_t)op, true) != -EACCES);
		else
			CHECK(uring_try(ring, (uint8_t)op, true) < 0);
		/* Ours too: a plain descriptor is never used, only the table. */
		CHECK(uring_try(ring, (uint8_t)op, false) < 0);
		if (ours)
			CHECK_EQ(uring_try(ring, (uint8_t)op, false), -EACCES);
	}
	CHECK_EQ(uring_try(ring, IORING_OP_OPENAT, true), -EACCES);
	CHECK_EQ(uring_try(ring, IORING_OP_SOCKET, true), -EACCES);
	CHECK_EQ(uring_try(ring, IORING_OP_READ, true), -EACCES);
	stop();
}

/* Linux 5.12 and later count a ring to its cgroup; where not, the limit is named. */
TEST(a_host_that_lets_nobody_lock_memory)
{
	const struct uring_cfg cfg = { .depth = DEPTH, .files = FILES, .workers = WORKERS };
	const struct rlimit none = { 0, 0 };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct err e = { 0 };
	int fd, r;

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (geteuid() == 0) /* whom no limit holds */
		CHECK_EQ(setresuid(NOBODY, NOBODY, NOBODY), 0);
	CHECK_EQ(loop_init(&loop), 0);
	r = uring_create(&cfg, &loop, &ring, &e);
	if (r == -ENOMEM) {
		CHECK(strstr(e.msg, "RLIMIT_MEMLOCK") != NULL);
		loop_fini(&loop);
		return;
	}
	if (r < 0)
		SKIP(e.msg);
	fd = make_file(0);
	CHECK_EQ(uring_set_file(ring, 0, fd), 0);
	calls[0] = (struct call){ .op.done = on_done };
	uring_writev(ring, &calls[0].op, 0, &iov, 1, 0);
	turn_until_idle();
	CHECK_EQ(calls[0].res, 1);
	close(fd);
	stop();
}

TEST(errors_name_the_remedy)
{
	const struct uring_cfg cfg = { .depth = DEPTH, .files = FILES, .workers = WORKERS };
	long n = 0;

	CHECK_EQ(loop_init(&loop), 0);
	for (;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = uring_create(&cfg, &loop, &ring, &e);
		if (!fault_fired()) {
			if (r < 0)
				SKIP(e.msg);
			break;
		}
		CHECK(r < 0 && e.code == r);
		CHECK(strncmp(e.msg, "io_uring: ", 10) == 0);
	}
	fault_arm(-1);
#ifdef WISP_FAULTS
	CHECK(n >= 6);
#endif
	stop();
}

/* --- chains ---------------------------------------------------------------------- */

/* The kernel keeps the number for each thread, and tells any ring of it. */
static void check_workers(void)
{
	struct io_uring_params p = { 0 };
	unsigned workers[2] = { 0, 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	CHECK(fd >= 0);
	CHECK_EQ(syscall(SYS_io_uring_register, fd, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2),
		 0);
	CHECK_EQ(workers[0], WORKERS);
	CHECK_EQ(workers[1], WORKERS);
	CHECK_EQ(close(fd), 0);
}

TEST(a_ring_for_chains_takes_no_threads_away)
{
	const struct uring_cfg cfg = { .depth = DEPTH, .chains = true };
	struct uring *chains;
	struct err e;

	start();
	check_workers();
	if (uring_create(&cfg, NULL, &chains, &e) < 0)
		SKIP(e.msg);
	check_workers();
	uring_destroy(chains);
	stop();
}

static char packet[DEPTH][4096];
static struct iovec packets[DEPTH];
static int end[2] = { -1, -1 }; /* of a socket: packets go into 0, out of 1 */

static void start_chains(void)
{
	const struct uring_cfg cfg = { .depth = DEPTH, .chains = true };
	struct iovec none = { packet, 1 };
	struct err e = { 0 };
	int size = 8192;

	/* It would wait; but a ring for chains never does. */
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end), 0);
	CHECK_EQ(setsockopt(end[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	if (pwritev2(end[0], &none, 1, -1, RWF_NOWAIT) < 0)
		SKIP("this kernel cannot write to a socket without waiting");
	CHECK_EQ(read(end[1], packet[0], 2), 1);
	if (uring_create(&cfg, NULL, &ring, &e) < 0)
		SKIP(e.msg);
	for (unsigned i = 0; i < DEPTH; i++)
		memset(packet[i], 'a' + (int)i, sizeof(packet[i]));
}

/* A packet of each length, in one chain. */
static void chain(const size_t *len, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		calls[i] = (struct call){ .op.done = on_done };
		packets[i] = (struct iovec){ packet[i], len[i] };
		uring_chain(ring, &calls[i].op, end[0], &packets[i], 1);
		CHECK(!calls[i].called);
	}
	CHECK_EQ(uring_inflight(ring), n);
	uring_finish(ring);
	CHECK_EQ(uring_inflight(ring), 0);
	for (unsigned i = 0; i < n; i++)
		CHECK(calls[i].called);
}

/* What the other side reads next: who sent it, 0: nothing. */
static char next_packet(size_t *ret_len)
{
	static char buf[1 << 16];
	ssize_t n = recv(end[1], buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	*ret_len = (size_t)n;
	return buf[0];
}

TEST(a_chain_goes_in_order)
{
	static const size_t len[DEPTH] = { 1, 200, 3, 40, 5, 60, 7, 80 };
	unsigned threads = entries_of("/proc/self/task");
	size_t got;

	start_chains();
	for (unsigned round = 0; round < 100; round++) {
		unsigned n = 1 + round % DEPTH;

		chain(len, n);
		for (unsigned i = 0; i < n; i++) {
			CHECK_EQ(calls[i].res, (int)len[i]);
			CHECK_EQ(next_packet(&got), 'a' + (int)i);
			CHECK_EQ(got, len[i]);
		}
		CHECK_EQ(next_packet(&got), 0);
	}
	uring_finish(ring);				  /* of nothing */
	CHECK_EQ(entries_of("/proc/self/task"), threads); /* no worker of the kernel had it */
	uring_destroy(ring);
}

TEST(what_is_full_ends_a_chain_and_nobody_waits)
{
	static const size_t len[DEPTH] = { 4000, 4000, 4000, 4000, 4000, 4000, 1, 1 };
	unsigned n = 0, threads = entries_of("/proc/self/task");
	size_t got;

	start_chains();
	chain(len, DEPTH);
	CHECK_EQ(entries_of("/proc/self/task"), threads);
	while (n < DEPTH && calls[n].res > 0)
		n++;
	CHECK(n > 0 && n < 6);
	CHECK_EQ(calls[n].res, -EAGAIN);
	/* Also those that are so short that there would be room for them. */
	for (unsigned i = n + 1; i < DEPTH; i++)
		CHECK_EQ(calls[i].res, -ECANCELED);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(next_packet(&got), 'a' + (int)i);
	CHECK_EQ(next_packet(&got), 0);
	/* The next chain knows nothing of it. */
	chain(len + 6, 2);
	CHECK_EQ(calls[0].res, 1);
	CHECK_EQ(calls[1].res, 1);
	uring_destroy(ring);
}

TEST(an_error_ends_a_chain)
{
	static const size_t len[DEPTH] = { 1, 1, 30000, 1, 1 };
	static char longer[30000];
	size_t got;

	start_chains();
	for (unsigned i = 0; i < 5; i++) {
		calls[i] = (struct call){ .op.done = on_done };
		packets[i] = (struct iovec){ i == 2 ? longer : packet[i], len[i] };
		uring_chain(ring, &calls[i].op, end[0], &packets[i], 1);
	}
	uring_finish(ring);
	CHECK_EQ(calls[0].res, 1);
	CHECK_EQ(calls[1].res, 1);
	CHECK_EQ(calls[2].res, -EMSGSIZE);
	CHECK_EQ(calls[3].res, -ECANCELED);
	CHECK_EQ(calls[4].res, -ECANCELED);
	CHECK_EQ(next_packet(&got), 'a');
	CHECK_EQ(next_packet(&got), 'b');
	CHECK_EQ(next_packet(&got), 0);
	uring_destroy(ring);
}

TEST(a_chain_that_cannot_be_submitted_is_cancelled)
{
	static const size_t len[DEPTH] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	size_t got;

#ifndef WISP_FAULTS
	SKIP("built without WISP_FAULTS");
#endif
	start_chains();
	for (unsigned round = 0; round < 5; round++) {
		fault_arm(0);
		chain(len, 5);
		CHECK(fault_fired());
		fault_arm(-1);
		for (unsigned i = 0; i < 5; i++)
			CHECK_EQ(calls[i].res, -ECANCELED);
		CHECK_EQ(next_packet(&got), 0);
		/* And never comes after all. */
		chain(len, DEPTH);
		for (unsigned i = 0; i < DEPTH; i++) {
			CHECK_EQ(calls[i].res, 1);
			CHECK_EQ(next_packet(&got), 'a' + (int)i);
		}
		CHECK_EQ(next_packet(&got), 0);
	}
	uring_destroy(ring);
}

TEST(a_ring_for_chains_can_do_nothing_else)
{
	start_chains();
	for (unsigned op = 0; op < 64; op++) {
		if (op == IORING_OP_WRITEV || op == IORING_OP_WRITE)
			CHECK(uring_try(ring, (uint8_t)op, false) != -EACCES);
		else
			CHECK(uring_try(ring, (uint8_t)op, false) < 0);
		CHECK(uring_try(ring, (uint8_t)op, true) < 0);
	}
	CHECK_EQ(uring_try(ring, IORING_OP_READV, false), -EACCES);
	CHECK_EQ(uring_try(ring, IORING_OP_FALLOCATE, false), -EACCES);
	CHECK_EQ(uring_try(ring, IORING_OP_OPENAT, false), -EACCES);
	CHECK_EQ(uring_try(ring, IORING_OP_WRITEV, true), -EACCES);
	CHECK_EQ(uring_set_file(ring, 0, end[0]), -EACCES);
	uring_destroy(ring);
}
