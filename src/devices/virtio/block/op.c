/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation needs next and what a result means to it: the part of an engine
 * that does not depend on how calls are made, so that all engines agree.
 */
#include <assert.h>
#include <linux/falloc.h>

#include "devices/virtio/block/engine.h"
#include "devices/virtio/iov.h"

enum { RETRIES_MAX = 64 }; /* calls in a row that moved nothing and said `try again' */

static _Alignas(4096) uint8_t zeros[BLK_PIECE]; /* never written */

enum blk_call blk_op_call(const struct blk_op *op)
{
	switch (op->kind) {
	case BLK_OP_READ:
		return BLK_CALL_READ;
	case BLK_OP_WRITE:
		return BLK_CALL_WRITE;
	case BLK_OP_FLUSH:
		return BLK_CALL_SYNC;
	case BLK_OP_DISCARD:
		return BLK_CALL_ALLOC;
	case BLK_OP_ZERO:
		return op->by_writing ? BLK_CALL_WRITE : BLK_CALL_ALLOC;
	}
	assert(false);
	return BLK_CALL_SYNC;
}

int blk_op_mode(const struct blk_op *op)
{
	bool frees = op->kind == BLK_OP_DISCARD || op->unmap;

	return FALLOC_FL_KEEP_SIZE | (frees ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

static bool end(struct blk_op *op, int error)
{
	op->error = error;
	return true;
}

static bool again(struct blk_op *op, int error)
{
	return ++op->retries > RETRIES_MAX ? end(op, error) : false;
}

/* Zeros, or the operation's next bytes by way of the bounce buffer. */
static void next_piece(struct blk_op *op)
{
	uint64_t left = op->len - op->done;
	size_t len = left < BLK_PIECE ? left : BLK_PIECE;

	op->piece = (struct iovec){ op->by_writing ? zeros : op->bounce, len };
	op->iov = &op->piece;
	op->niov = 1;
	if (op->bounce && op->kind == BLK_OP_WRITE)
		iov_copy_out(op->guest, op->nguest, 0, op->bounce, len);
}

void blk_op_begin(struct blk_op *op)
{
	if (!op->bounce)
		return;
	op->guest = op->iov;
	op->nguest = op->niov;
	next_piece(op);
}

/* The first `len' bytes of a bounced operation have moved. */
static void took_piece(struct blk_op *op, uint64_t len)
{
	if (op->kind == BLK_OP_READ)
		iov_copy_in(op->guest, op->nguest, 0, op->bounce, len);
	iov_advance(&op->guest, &op->nguest, len);
}

/* EINVAL: a block device whose sectors are larger than the range is aligned to. */
static bool is_refusal(ssize_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -EINVAL;
}

static bool take_alloc(struct blk_op *op, ssize_t res)
{
	if (res >= 0) {
		op->done = op->len;
		return end(op, 0);
	}
	if (!is_refusal(res))
		return end(op, (int)res);
	if (op->kind == BLK_OP_DISCARD) /* no more than advice (5.2.6.2) */
		return end(op, 0);
	op->by_writing = true;
	next_piece(op);
	return false;
}

static bool take_moved(struct blk_op *op, ssize_t res)
{
	if (res <= 0) /* 0: the file has become shorter than the disk */
		return end(op, res < 0 ? (int)res : -EIO);
	op->retries = 0;
	op->done += (uint64_t)res;
	if (op->bounce)
		took_piece(op, (uint64_t)res);
	if (op->done == op->len)
		return end(op, 0);
	if (op->by_writing || op->bounce)
		next_piece(op);
	else
		iov_advance(&op->iov, &op->niov, (uint64_t)res);
	return false;
}

bool blk_op_take(struct blk_op *op, ssize_t res)
{
	/* A sync is never tried again: the kernel reports lost pages once only. */
	if (op->kind == BLK_OP_FLUSH)
		return end(op, res < 0 ? (int)res : 0);
	if (res == -EINTR || res == -EAGAIN)
		return again(op, (int)res);
	return blk_op_call(op) == BLK_CALL_ALLOC ? take_alloc(op, res) : take_moved(op, res);
}
