/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/block/async.h"

#include <assert.h>
#include <string.h>

#include "base/fault.h"
#include "devices/virtio/iov.h"

struct blk_async {
	struct blk_engine engine;
	struct uring *ring; /* the machine's */
	unsigned slot;
	bool no_nowait;		 /* the file cannot be read with RWF_NOWAIT */
	struct blk_op *inflight; /* newest first */
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

/* What is left of the operation goes to the ring. */
static void queue_op(struct blk_async *a, struct blk_op *op)
{
	uint64_t off = op->off + op->done;

	switch (op->kind) {
	case BLK_OP_READ:
		uring_readv(a->ring, &op->ring_op, a->slot, op->iov, op->niov, off);
		break;
	case BLK_OP_WRITE:
		uring_writev(a->ring, &op->ring_op, a->slot, op->iov, op->niov, off);
		break;
	case BLK_OP_FLUSH:
		uring_fdatasync(a->ring, &op->ring_op, a->slot);
		break;
	}
}

/* Takes a result into account; true when the operation has ended. */
static bool advance(struct blk_op *op, int res)
{
	if (op->kind == BLK_OP_FLUSH) {
		op->error = res < 0 ? res : 0;
		return true;
	}
	if (res <= 0) {
		/* 0: the file has become shorter than the disk. */
		op->error = res < 0 ? res : -EIO;
		return true;
	}
	op->done += (uint64_t)res;
	iov_advance(&op->iov, &op->niov, (uint64_t)res);
	op->error = 0;
	return op->done == op->len;
}

static void on_done(struct uring_op *ring_op, int res)
{
	struct blk_op *op = container_of(ring_op, struct blk_op, ring_op);
	struct blk_async *a = async_of(op->engine);

	/* Short transfers and interruptions are normal: the rest goes again. */
	if ((res == -EINTR && !op->cancelled) || res == -EAGAIN || !advance(op, res)) {
		if (op->cancelled && res > 0) {
			op->error = -ECANCELED;
		} else {
			queue_op(a, op);
			return;
		}
	}
	unlink_op(a, op);
	blk_op_done(op);
}

/*
 * What is in the page cache costs less here than through the ring. True when the
 * operation has ended with that.
 */
static bool read_cached(struct blk_async *a, struct blk_op *op)
{
	ssize_t n;

	if (a->no_nowait || op->kind != BLK_OP_READ)
		return false;
	n = preadv2(op->fd, op->iov, (int)op->niov, (off_t)op->off, RWF_NOWAIT);
	if (n < 0) {
		a->no_nowait = errno == EOPNOTSUPP;
		return false;
	}
	/* 0 may be the end of the file: the ring will say so too. */
	return n > 0 && advance(op, (int)n);
}

static bool async_start(struct blk_engine *engine, struct blk_op *op)
{
	struct blk_async *a = async_of(engine);

	op->engine = engine;
	op->ring_op.done = on_done;
	op->cancelled = false;
	if (op->kind != BLK_OP_FLUSH && op->len == 0) {
		op->error = 0;
		return true;
	}
	if (read_cached(a, op))
		return true;
	link_op(a, op);
	queue_op(a, op);
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
}

static int async_set_file(struct blk_engine *engine, int fd)
{
	struct blk_async *a = async_of(engine);
	int r;

	assert(!a->inflight);
	r = uring_set_file(a->ring, a->slot, fd);
	if (r == 0)
		a->no_nowait = false;
	return r;
}

static void async_destroy(struct blk_engine *engine)
{
	struct blk_async *a = async_of(engine);

	assert(!a->inflight);
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
	*ret_engine = &a->engine;
	return 0;
}
