/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uring.h"

#include <assert.h>
#include <liburing.h>
#include <string.h>

#include "base/fault.h"

enum { REAP_BUDGET = 256, RETRY_USEC = 1000 };

struct uring {
	struct io_uring ring;
	struct loop *loop;
	struct loop_src src;	 /* completions */
	struct loop_task submit; /* at the end of the turn */
	struct loop_watch watch; /* completions too, while the loop does not sleep */
	struct loop_timer retry; /* when the kernel could not take what there is */
	unsigned depth;
	unsigned inflight;
	unsigned cancels; /* that may not have been submitted yet */
	bool chains;
	struct io_uring_sqe *last; /* of the chain so far */
};

/* --- making ----------------------------------------------------------------- */

/* The shared library does not export two of these by their own names. */
static int reg(struct uring *u, unsigned op, void *arg, unsigned n)
{
	int r = FAULT(-EINVAL);

	return r < 0 ? r : io_uring_register((unsigned)u->ring.ring_fd, op, arg, n);
}

static int restrict_chains(struct uring *u)
{
	struct io_uring_restriction r[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_IO_LINK },
	};

	return reg(u, IORING_REGISTER_RESTRICTIONS, r, ARRAY_SIZE(r));
}

static int restrict_ring(struct uring *u)
{
	static const uint8_t ops[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				       IORING_OP_FALLOCATE, IORING_OP_ASYNC_CANCEL };
	struct io_uring_restriction r[ARRAY_SIZE(ops) + 3] = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n++].sqe_op = ops[i];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE;
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
	r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	r[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	return reg(u, IORING_REGISTER_RESTRICTIONS, r, n);
}

static int make_table(struct uring *u, const struct uring_cfg *cfg)
{
	struct io_uring_rsrc_register table = { .nr = cfg->files,
						.flags = IORING_RSRC_REGISTER_SPARSE };
	/*
	 * Of two pools of the kernel's: for syncs, allocations and what it puts off itself, and
	 * for reads and writes that wait.
	 */
	unsigned workers[2] = { cfg->workers, cfg->workers };
	int r = reg(u, IORING_REGISTER_FILES2, &table, sizeof(table));

	return r < 0 ? r : reg(u, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, ARRAY_SIZE(workers));
}

/* Everything that has to be registered, then the restrictions, then it works. */
static int set_up(struct uring *u, const struct uring_cfg *cfg)
{
	int r = u->chains ? 0 : make_table(u, cfg);

	if (r < 0)
		return r;
	r = u->chains ? restrict_chains(u) : restrict_ring(u);
	if (r < 0)
		return r;
	return reg(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int refused(int r, struct err *e)
{
	switch (-r) {
	case ENOSYS:
		return err_set(e, ERR_INTERNAL, r,
			       "io_uring: this kernel is built without it; use io_engine `Sync'");
	case EINVAL:
		return err_set(e, ERR_INTERNAL, r,
			       "io_uring: %s; it needs Linux 6.0 or newer, or use io_engine `Sync'",
			       strerror(-r));
	case EPERM:
	case EACCES:
		return err_set(
			e, ERR_INTERNAL, r,
			"io_uring: %s; kernel.io_uring_disabled must be 0 (or 1 with the user in "
			"kernel.io_uring_group) and the container's filter must allow "
			"io_uring_setup; or use io_engine `Sync'",
			strerror(-r));
	case ENOMEM:
		return err_set(
			e, ERR_INTERNAL, r,
			"io_uring: %s; raise RLIMIT_MEMLOCK (ulimit -l), or use io_engine `Sync'",
			strerror(-r));
	default:
		return err_set(e, ERR_INTERNAL, r, "io_uring: %s; or use io_engine `Sync'",
			       strerror(-r));
	}
}

static void reap(struct loop_src *src, uint32_t events);
static void submit(struct loop_task *task);
static bool has_completion(const struct loop_watch *watch);
static void on_watch(struct loop_watch *watch, bool found);

static void on_retry(struct loop_timer *timer)
{
	struct uring *u = container_of(timer, struct uring, retry);

	loop_at_turn_end(u->loop, &u->submit);
}

int uring_create(const struct uring_cfg *cfg, struct loop *loop, struct uring **ret_ring,
		 struct err *e)
{
	autofree struct uring *u = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*u));
	/* Room for a cancel of each operation beside it. The issuer is bound at enable. */
	unsigned entries = cfg->chains ? cfg->depth : 2 * cfg->depth;
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
					      IORING_SETUP_CLAMP };
	int r = FAULT(-EPERM);

	if (!u)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "io_uring: out of memory");
	if (cfg->chains) /* who waits for all of it needs no signal for a part */
		p.flags |= IORING_SETUP_DEFER_TASKRUN;
	if (r == 0)
		r = io_uring_queue_init_params(entries, &u->ring, &p);
	if (r < 0)
		return refused(r, e);
	u->loop = loop;
	u->depth = cfg->depth;
	u->chains = cfg->chains;
	u->submit.fn = submit;
	u->watch = (struct loop_watch){ .ready = has_completion, .fn = on_watch };
	u->retry.fn = on_retry;
	u->src = (struct loop_src){ .fd = u->ring.ring_fd, .events = EPOLLIN, .fn = reap };
	r = p.sq_entries < entries ? -ENOSPC : set_up(u, cfg);
	if (r == 0 && !u->chains)
		r = loop_add(loop, &u->src);
	if (r < 0) {
		io_uring_queue_exit(&u->ring);
		return refused(r, e);
	}
	*ret_ring = take_ptr(&u);
	return 0;
}

void uring_destroy(struct uring *ring)
{
	if (!ring)
		return;
	assert(ring->inflight == 0);
	if (!ring->chains) {
		loop_task_cancel(ring->loop, &ring->submit);
		loop_timer_cancel(ring->loop, &ring->retry);
		(void)loop_unwatch(ring->loop, &ring->watch);
		loop_remove(ring->loop, &ring->src);
	}
	io_uring_queue_exit(&ring->ring);
	free(ring);
}

int uring_set_file(struct uring *ring, unsigned slot, int fd)
{
	struct io_uring_files_update update = { .offset = slot, .fds = (uintptr_t)&fd };
	int r = reg(ring, IORING_REGISTER_FILES_UPDATE, &update, 1);

	return r < 0 ? r : 0;
}

unsigned uring_inflight(const struct uring *ring)
{
	return ring->inflight;
}

/* --- operations -------------------------------------------------------------- */

static void submit(struct loop_task *task)
{
	struct uring *u = container_of(task, struct uring, submit);
	int r = FAULT(-EAGAIN);

	if (r == 0)
		r = io_uring_submit(&u->ring);
	/* Nothing is lost: what was not taken is still in the queue. */
	if (r < 0 || io_uring_sq_ready(&u->ring) > 0)
		loop_timer_set(u->loop, &u->retry, clock_monotonic() + RETRY_USEC);
	else
		u->cancels = 0;
	if (loop_polls(u->loop))
		loop_watch(u->loop, &u->watch);
}

/*
 * Not NULL: the queue holds twice the depth. An operation that was not submitted yet is
 * in flight by our count, and cancels are counted apart.
 */
static struct io_uring_sqe *next_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe)
		abort();
	loop_at_turn_end(u->loop, &u->submit);
	return sqe;
}

static struct io_uring_sqe *begin(struct uring *u)
{
	assert(u->inflight < u->depth && !u->chains);
	u->inflight++;
	return next_sqe(u);
}

static void finish(struct io_uring_sqe *sqe, struct uring_op *op)
{
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE | (op && op->waits ? IOSQE_ASYNC : 0));
	io_uring_sqe_set_data(sqe, op);
}

void uring_readv(struct uring *ring, struct uring_op *op, unsigned slot, const struct iovec *iov,
		 unsigned niov, uint64_t off)
{
	struct io_uring_sqe *sqe = begin(ring);

	io_uring_prep_readv(sqe, (int)slot, iov, niov, off);
	finish(sqe, op);
}

void uring_writev(struct uring *ring, struct uring_op *op, unsigned slot, const struct iovec *iov,
		  unsigned niov, uint64_t off)
{
	struct io_uring_sqe *sqe = begin(ring);

	io_uring_prep_writev(sqe, (int)slot, iov, niov, off);
	finish(sqe, op);
}

void uring_fdatasync(struct uring *ring, struct uring_op *op, unsigned slot)
{
	struct io_uring_sqe *sqe = begin(ring);

	io_uring_prep_fsync(sqe, (int)slot, IORING_FSYNC_DATASYNC);
	finish(sqe, op);
}

void uring_fallocate(struct uring *ring, struct uring_op *op, unsigned slot, int mode, uint64_t off,
		     uint64_t len)
{
	struct io_uring_sqe *sqe = begin(ring);

	/* Not liburing's: 2.3 declares the two as off_t and would need casts. */
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_FALLOCATE;
	sqe->fd = (int)slot;
	sqe->len = (uint32_t)mode;
	sqe->off = off;
	sqe->addr = len;
	finish(sqe, op);
}

void uring_cancel(struct uring *ring, struct uring_op *op)
{
	struct io_uring_sqe *sqe;

	/* Only after many submits in a row that failed; the operation ends by itself. */
	if (ring->cancels == ring->depth)
		return;
	ring->cancels++;
	sqe = next_sqe(ring);
	io_uring_prep_cancel(sqe, op, 0);
	finish(sqe, NULL); /* the cancel's own completion tells nobody anything */
}

static void take_completions(struct uring *u)
{
	struct io_uring_cqe *cqe;

	for (unsigned n = 0; n < REAP_BUDGET && io_uring_peek_cqe(&u->ring, &cqe) == 0; n++) {
		struct uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		if (!op)
			continue;
		u->inflight--;
		op->done(op, res);
	}
}

static void reap(struct loop_src *src, uint32_t events)
{
	(void)events;
	take_completions(container_of(src, struct uring, src));
}

static bool has_completion(const struct loop_watch *watch)
{
	return io_uring_cq_ready(&container_of(watch, struct uring, watch)->ring) > 0;
}

static void on_watch(struct loop_watch *watch, bool found)
{
	struct uring *u = container_of(watch, struct uring, watch);

	if (!found)
		return; /* their event comes by itself */
	take_completions(u);
	if (u->inflight > 0)
		loop_watch(u->loop, &u->watch);
}

/* --- chains -------------------------------------------------------------------- */

void uring_chain(struct uring *ring, struct uring_op *op, int fd, const struct iovec *iov,
		 unsigned niov)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	assert(ring->chains && ring->inflight < ring->depth);
	if (!sqe)
		abort();
	/* Not the last one: the kernel gives a chain without an end to a worker thread. */
	if (ring->last)
		ring->last->flags |= IOSQE_IO_LINK;
	if (niov == 1) /* which costs less */
		io_uring_prep_write(sqe, fd, iov->iov_base, (unsigned)iov->iov_len, 0);
	else
		io_uring_prep_writev(sqe, fd, iov, niov, 0);
	sqe->rw_flags = RWF_NOWAIT;
	io_uring_sqe_set_data(sqe, op);
	ring->last = sqe;
	ring->inflight++;
}

/*
 * Entries that the kernel has not taken leave the queue. They are not tried again: the
 * chain that they belong to may have failed by now, and they would be a new one.
 */
static void take_back(struct uring *u)
{
	struct io_uring_sq *sq = &u->ring.sq;
	unsigned head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE), end = sq->sqe_tail;

	/* The kernel looks at its tail in io_uring_enter only, and that is ours to call. */
	sq->sqe_head = sq->sqe_tail = head;
	__atomic_store_n(sq->ktail, head, __ATOMIC_RELEASE);
	for (; head != end; head++) {
		struct io_uring_sqe *sqe = &sq->sqes[head & (sq->ring_entries - 1)];
		struct uring_op *op = (struct uring_op *)(uintptr_t)sqe->user_data;

		u->inflight--;
		op->done(op, -ECANCELED);
	}
}

void uring_finish(struct uring *ring)
{
	struct io_uring_cqe *cqe;
	int r;

	if (ring->inflight == 0)
		return;
	ring->last = NULL;
	r = FAULT(-EAGAIN);
	if (r == 0)
		(void)io_uring_submit_and_wait(&ring->ring, ring->inflight);
	take_back(ring);
	take_completions(ring);
	/* Without a deadline: no write of a chain waits. A signal may have ended the wait. */
	while (ring->inflight > 0) {
		r = io_uring_wait_cqe(&ring->ring, &cqe);
		if (r < 0 && r != -EINTR)
			abort();
		take_completions(ring);
	}
}

int uring_try(struct uring *ring, uint8_t opcode, bool fixed_file)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
	struct io_uring_cqe *cqe;
	int r;

	assert(ring->inflight == 0);
	if (!sqe)
		return -EBUSY;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->flags = fixed_file ? IOSQE_FIXED_FILE : 0;
	r = io_uring_submit_and_wait(&ring->ring, 1);
	if (r < 0)
		return r;
	r = io_uring_wait_cqe(&ring->ring, &cqe);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(&ring->ring, cqe);
	return r;
}
