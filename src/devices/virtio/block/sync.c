/* SPDX-License-Identifier: Apache-2.0 */
/* The engine `Sync': operations are finished before start() returns. */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>

#include "base/fault.h"
#include "devices/virtio/block/engine.h"
#include "devices/virtio/virtq.h"

static_assert((int)VIRTQ_IOV_MAX <= IOV_MAX, "one call takes a whole chain");

static ssize_t call(const struct blk_op *op)
{
	off_t at = (off_t)(op->off + op->done);

	switch (blk_op_call(op)) {
	case BLK_CALL_READ:
		return preadv(op->fd, op->iov, (int)op->niov, at);
	case BLK_CALL_WRITE:
		return pwritev(op->fd, op->iov, (int)op->niov, at);
	case BLK_CALL_SYNC:
		return fdatasync(op->fd);
	case BLK_CALL_ALLOC:
		return fallocate(op->fd, blk_op_mode(op), (off_t)op->off, (off_t)op->len);
	}
	return -1;
}

static ssize_t result_of(const struct blk_op *op)
{
	int r = FAULT(-EIO);
	ssize_t n;

	if (r < 0)
		return r;
	n = call(op);
	return n < 0 ? -errno : n;
}

static bool sync_start(struct blk_engine *engine, struct blk_op *op)
{
	(void)engine;
	if (op->kind != BLK_OP_FLUSH && op->len == 0)
		return true;
	while (!blk_op_take(op, result_of(op)))
		;
	return true;
}

static void sync_cancel(struct blk_engine *engine)
{
	(void)engine;
}

static int sync_set_file(struct blk_engine *engine, int fd)
{
	(void)engine;
	(void)fd;
	return 0;
}

static void sync_destroy(struct blk_engine *engine)
{
	(void)engine;
}

static const struct blk_engine_class sync_class = {
	.name = "Sync",
	.depth = 1,
	.start = sync_start,
	.cancel = sync_cancel,
	.set_file = sync_set_file,
	.destroy = sync_destroy,
};

struct blk_engine blk_sync_engine = { .class = &sync_class };
