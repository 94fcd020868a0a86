/* SPDX-License-Identifier: Apache-2.0 */
/* The engine `Sync': operations are finished before start() returns. */
#include <assert.h>
#include <limits.h>

#include "base/fault.h"
#include "devices/virtio/block/engine.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/virtq.h"

static_assert((int)VIRTQ_IOV_MAX <= IOV_MAX, "one call takes a whole chain");

static ssize_t move_some(const struct blk_op *op)
{
	off_t at = (off_t)(op->off + op->done);
	int r = FAULT(-EIO);

	if (r < 0) {
		errno = -r;
		return -1;
	}
	if (op->kind == BLK_OP_READ)
		return preadv(op->fd, op->iov, (int)op->niov, at);
	return pwritev(op->fd, op->iov, (int)op->niov, at);
}

/* Each pass moves bytes or ends it; a signal (EINTR) moves none and is rare. */
static int move(struct blk_op *op)
{
	while (op->done < op->len) {
		ssize_t n = move_some(op);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) /* the file has become shorter than the disk */
			return -EIO;
		op->done += (uint64_t)n;
		iov_advance(&op->iov, &op->niov, (uint64_t)n);
	}
	return 0;
}

static int flush(int fd)
{
	int r = FAULT(-EIO);

	if (r < 0)
		return r;
	/* Not again after EINTR or EIO: the kernel reports lost pages once only. */
	return fdatasync(fd) < 0 ? -errno : 0;
}

static bool sync_start(struct blk_engine *engine, struct blk_op *op)
{
	(void)engine;
	op->error = op->kind == BLK_OP_FLUSH ? flush(op->fd) : move(op);
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
