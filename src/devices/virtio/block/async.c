/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fdatasync is in the ring at a time. Of two that ran side by side the kernel
 * would tell one only that pages were lost, and the other would promise what is not
 * on the disk; one after the other, whoever answers the first knows of its failure
 * before the second has an answer.
 *
 * What cannot be begun without waiting takes one of the ring's threads until it ends: a
 * sync, an allocation, a buffered write to a block device, and all that goes to a file which
 * cannot be asked not to wait (FUSE, NFS). A drive has BLK_ASYNC_WAITS of these in the ring,
 * and the others wait here, so that a file that hangs leaves the other drives their threads.
 * Buffered writes to regular files take a thread too, but the kernel gives them to one, in
 * turn. Not counted, for nobody can tell before: writes around the page cache into holes,
 * and what a device's queue has no room for.
 */
#include "devices/virtio/block/async.h"

#include <assert.h>
#include <sys/stat.h>

#include "base/fault.h"

enum { NOWAIT_MAX = 256 << 10 }; /* of a read that is tried before the ring */

struct blk_async {
	struct blk_engine engine;
	struct uring *ring; /* the machine's */
	unsigned slot;
	int fd;			 /* in the slot; the device's, -1 at first */
	bool no_nowait;		 /* the file cannot be read with RWF_NOWAIT */
	bool is_device;		 /* a block device */
	bool syncing;		 /* a FLUSH is in the ring */
	unsigned working;	 /* operations in the ring that take a thread each */
	struct blk_op *inflight; /* in the ring, newest first */
	struct blk_op *waiting;	 /* for a thread, or for the FLUSH in the ring; oldest first */
};

static struct blk_async *async_of(struct blk_engine *engine)
{
	return container_of(engine, struct blk_async, engine);
}

static void link_op(struct blk_async *a, struct blk_op *op)
{
	op->prev = NULL;
	op->next = a->inflight;
	if (op->next)
		op->next->prev = op;
	a->inflight = op;
}

static void unlink_op(struct blk_async *a, struct blk_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		a->inflight = op->next;
	if (op->next)
		op->next->prev = op->prev;
}

/*
 * The segments that the ring moves next. What is in the page cache is copied by the system
 * call that submits it, on the loop's time, and a driver's segments overlap as it likes: so
 * each turn takes a part of a long request only.
 */
static unsigned next_part(struct blk_op *op, struct iovec **ret_iov)
{
	uint64_t bytes = 0;
	unsigned n = 0;

	while (n < op->niov && op->iov[n].iov_len <= BLK_ASYNC_PART - bytes)
		bytes += op->iov[n++].iov_len;
	*ret_iov = op->iov;
	if (n > 0)
		return n;
	op->piece = (struct iovec){ op->iov->iov_base, BLK_ASYNC_PART };
	*ret_iov = &op->piece;
	return 1;
}

/* What is left of the operation goes to the ring. */
static void queue_op(struct blk_async *a, struct blk_op *op)
{
	uint64_t at = op->off + op->done;
	struct iovec *iov;
	unsigned n;

	switch (blk_op_call(op)) {
	case BLK_CALL_READ:
		n = next_part(op, &iov);
		uring_readv(a->ring, &op->ring_op, a->slot, iov, n, at);
		return;
	case BLK_CALL_WRITE:
		n = next_part(op, &iov);
		uring_writev(a->ring, &op->ring_op, a->slot, iov, n, at);
		return;
	case BLK_CALL_SYNC:
		uring_fdatasync(a->ring, &op->ring_op, a->slot);
		return;
	case BLK_CALL_ALLOC:
		uring_fallocate(a->ring, &op->ring_op, a->slot, blk_op_mode(op), op->off, op->len);
		return;
	}
}

static bool takes_thread(const struct blk_async *a, const struct blk_op *op)
{
	if (op->kind == BLK_OP_READ)
		return a->no_nowait;
	if (op->kind == BLK_OP_WRITE)
		return a->no_nowait || (a->is_device && !op->direct);
	return true;
}

static bool may_begin(const struct blk_async *a, const struct blk_op *op)
{
	if (!op->ring_op.waits)
		return true;
	return a->working < BLK_ASYNC_WAITS && !(op->kind == BLK_OP_FLUSH && a->syncing);
}

static void begin(struct blk_async *a, struct blk_op *op)
{
	a->working += op->ring_op.waits;
	a->syncing |= op->kind == BLK_OP_FLUSH;
	link_op(a, op);
	queue_op(a, op);
}

static void end(struct blk_async *a, struct blk_op *op)
{
	unlink_op(a, op);
	a->working -= op->ring_op.waits;
	if (op->kind == BLK_OP_FLUSH)
		a->syncing = false;
	blk_op_done(op);
}

static void wait_for_thread(struct blk_async *a, struct blk_op *op)
{
	struct blk_op **end = &a->waiting;

	while (*end)
		end = &(*end)->next;
	op->next = NULL;
	*end = op;
}

/* The oldest that need not wait any longer, out of those that wait; NULL: none. */
static struct blk_op *take_waiting(struct blk_async *a)
{
	for (struct blk_op *op, **at = &a->waiting; (op = *at); at = &op->next)
		if (op->cancelled || may_begin(a, op)) {
			*at = op->next;
			return op;
		}
	return NULL;
}

static void begin_waiting(struct blk_async *a)
{
	struct blk_op *op;

	while ((op = take_waiting(a))) {
		if (!op->cancelled) {
			begin(a, op);
			continue;
		}
		op->error = -ECANCELED;
		blk_op_done(op);
	}
}

static void on_done(struct uring_op *ring_op, int res)
{
	struct blk_op *op = container_of(ring_op, struct blk_op, ring_op);
	struct blk_async *a = async_of(op->engine);
	int fault = FAULT(-EIO);

	if (!blk_op_take(op, fault < 0 ? fault : res)) {
		if (!op->cancelled) {
			queue_op(a, op);
			return;
		}
		/* A cancel comes once; what is begun anew would run to its end. */
		op->error = -ECANCELED;
	}
	end(a, op);
	begin_waiting(a);
}

/*
 * What is in the page cache costs less here than through the ring. True when the
 * operation has ended with that.
 */
static bool read_cached(struct blk_async *a, struct blk_op *op)
{
	ssize_t n;

	if (a->no_nowait || op->direct || op->kind != BLK_OP_READ || op->len > NOWAIT_MAX)
		return false;
	n = FAULT(-EIO);
	if (n == 0)
		n = preadv2(op->fd, op->iov, (int)op->niov, (off_t)op->off, RWF_NOWAIT);
	if (n == -1)
		n = -errno;
	a->no_nowait = n == -EOPNOTSUPP;
	if (n == -EIO) { /* a bad medium takes its time to say so: once is enough */
		op->error = -EIO;
		return true;
	}
	/* 0 may be the end of the file: the ring will say so too. */
	return n > 0 && blk_op_take(op, n);
}

static bool async_start(struct blk_engine *engine, struct blk_op *op)
{
	struct blk_async *a = async_of(engine);

	op->engine = engine;
	op->ring_op.done = on_done;
	op->cancelled = false;
	if (op->kind != BLK_OP_FLUSH && op->len == 0)
		return true;
	if (read_cached(a, op))
		return true;
	op->ring_op.waits = takes_thread(a, op);
	if (may_begin(a, op))
		begin(a, op);
	else
		wait_for_thread(a, op);
	return false;
}

static void async_cancel(struct blk_engine *engine)
{
	struct blk_async *a = async_of(engine);

	for (struct blk_op *op = a->inflight; op; op = op->next) {
		if (op->cancelled)
			continue;
		op->cancelled = true;
		uring_cancel(a->ring, &op->ring_op);
	}
	for (struct blk_op *op = a->waiting; op; op = op->next)
		op->cancelled = true;
}

/* The kernel says so before it looks at the place. A byte, for of none it says nothing. */
static bool must_wait(int fd)
{
	uint8_t byte;
	struct iovec iov = { &byte, sizeof(byte) };

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP;
}

static int async_set_file(struct blk_engine *engine, int fd)
{
	struct blk_async *a = async_of(engine);
	struct stat st;
	int r;

	assert(!a->inflight && !a->waiting);
	r = uring_set_file(a->ring, a->slot, fd);
	if (r < 0) {
		/* The kernel takes the old file out before it looks at the new one. */
		if (a->fd >= 0)
			(void)!uring_set_file(a->ring, a->slot, a->fd);
		return r;
	}
	a->fd = fd;
	a->no_nowait = must_wait(fd);
	a->is_device = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
	return 0;
}

static void async_destroy(struct blk_engine *engine)
{
	struct blk_async *a = async_of(engine);

	assert(!a->inflight && !a->waiting);
	/* The table's reference would keep the file open for as long as the ring lives. */
	(void)!uring_set_file(a->ring, a->slot, -1);
	free(a);
}

static const struct blk_engine_class async_class = {
	.name = "Async",
	.depth = BLK_ASYNC_DEPTH,
	.start = async_start,
	.cancel = async_cancel,
	.set_file = async_set_file,
	.destroy = async_destroy,
};

int blk_async_create(struct uring *ring, unsigned slot, struct blk_engine **ret_engine,
		     struct err *e)
{
	struct blk_async *a = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*a));

	if (!a)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "io_engine `Async': out of memory");
	a->engine.class = &async_class;
	a->ring = ring;
	a->slot = slot;
	a->fd = -1;
	*ret_engine = &a->engine;
	return 0;
}
