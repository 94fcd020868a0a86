/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of the driver: plan it, hand its operations to the engine, answer.
 *
 * The plan is made from one copy of the header and from lengths that virtq_pop()
 * fixed; nothing is read twice. Header, data and status are byte ranges: 16
 * readable bytes, then data; or data, then one writable byte.
 */
#include "devices/virtio/block/req.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "devices/virtio/iov.h"

struct header { /* 5.2.6 */
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
static_assert(sizeof(struct header) == 16, "virtio 1.2, 5.2.6");

struct range { /* 5.2.6, of DISCARD and WRITE_ZEROES */
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};
static_assert(sizeof(struct range) == 16, "virtio 1.2, 5.2.6");

enum { RANGE_UNMAP = 1 };

static uint64_t out_data(const struct virtq_chain *c)
{
	return c->out_len - sizeof(struct header);
}

/* Without the status byte. */
static uint64_t in_data(const struct virtq_chain *c)
{
	return c->in_len - 1;
}

static struct blk_op *add_op(struct blk_req *req, enum blk_op_kind kind)
{
	struct blk_op *op = &req->op[req->nops++];

	*op = (struct blk_op){
		.req = req, .kind = kind, .fd = req->blk->fd, .direct = req->blk->align > 0
	};
	return op;
}

/* The host moves only aligned memory around its page cache. */
static void *bounce_for(const struct blk *b, const struct blk_op *op)
{
	for (unsigned i = 0; b->align > 0 && i < op->niov; i++)
		if ((uintptr_t)op->iov[i].iov_base % b->align != 0 ||
		    op->iov[i].iov_len % BLK_SECTOR != 0)
			return b->bounce;
	return NULL;
}

/* Whole sectors within the disk, all of them, before anything moves. */
static bool in_bounds(const struct blk *b, uint64_t sector, uint64_t bytes)
{
	uint64_t n = bytes / BLK_SECTOR;

	return bytes % BLK_SECTOR == 0 && sector <= b->sectors && n <= b->sectors - sector;
}

static enum blk_status plan_in(struct blk_req *req, uint64_t sector)
{
	const struct virtq_chain *c = &req->chain;
	struct blk_op *op;

	if (out_data(c) > 0 || !in_bounds(req->blk, sector, in_data(c)))
		return BLK_S_IOERR;
	op = add_op(req, BLK_OP_READ);
	op->off = sector * BLK_SECTOR;
	op->len = in_data(c);
	op->iov = req->data;
	op->niov = iov_slice(c->iov + c->nout, c->nin, 0, op->len, req->data);
	op->bounce = bounce_for(req->blk, op);
	return BLK_S_OK;
}

static enum blk_status plan_out(struct blk_req *req, uint64_t sector)
{
	const struct virtq_chain *c = &req->chain;
	struct blk_op *op;

	if (req->blk->read_only || in_data(c) > 0 || !in_bounds(req->blk, sector, out_data(c)))
		return BLK_S_IOERR;
	op = add_op(req, BLK_OP_WRITE);
	op->off = sector * BLK_SECTOR;
	op->len = out_data(c);
	op->iov = req->data;
	op->niov = iov_slice(c->iov, c->nout, sizeof(struct header), op->len, req->data);
	op->bounce = bounce_for(req->blk, op);
	return BLK_S_OK;
}

static enum blk_status plan_flush(struct blk_req *req)
{
	if (out_data(&req->chain) > 0 || in_data(&req->chain) > 0)
		return BLK_S_IOERR;
	if (req->blk->cache == BLK_WRITEBACK)
		(void)add_op(req, BLK_OP_FLUSH);
	return BLK_S_OK;
}

static enum blk_status plan_get_id(const struct blk_req *req)
{
	const struct virtq_chain *c = &req->chain;

	return out_data(c) > 0 || in_data(c) < BLK_SERIAL ? BLK_S_IOERR : BLK_S_OK;
}

static enum blk_status plan_range(struct blk_req *req, enum blk_op_kind kind,
				  const struct range *range)
{
	bool zero = kind == BLK_OP_ZERO;
	uint64_t bytes = (uint64_t)range->sectors * BLK_SECTOR;
	struct blk_op *op;

	if (range->flags & ~(uint32_t)(zero ? RANGE_UNMAP : 0))
		return BLK_S_UNSUPP;
	if (range->sectors > (zero ? BLK_ZEROES_SECTORS : BLK_DISCARD_SECTORS) ||
	    !in_bounds(req->blk, range->sector, bytes))
		return BLK_S_IOERR;
	op = add_op(req, kind);
	op->off = range->sector * BLK_SECTOR;
	op->len = bytes;
	op->unmap = range->flags & RANGE_UNMAP;
	return BLK_S_OK;
}

static enum blk_status plan_ranges(struct blk_req *req, enum blk_op_kind kind)
{
	uint64_t bytes = out_data(&req->chain);
	enum blk_status status = BLK_S_OK;
	struct range range;

	if (!req->blk->discard)
		return BLK_S_UNSUPP;
	if (req->blk->read_only || in_data(&req->chain) > 0 || bytes % sizeof(range) != 0 ||
	    bytes / sizeof(range) > BLK_RANGES_MAX)
		return BLK_S_IOERR;
	for (uint64_t at = 0; at < bytes && status == BLK_S_OK; at += sizeof(range)) {
		if (virtq_chain_read(&req->chain, sizeof(struct header) + at, &range,
				     sizeof(range)) < 0)
			return BLK_S_IOERR;
		status = plan_range(req, kind, &range);
	}
	return status;
}

/* Fills op[]; anything but OK is the whole answer, and nothing has been touched. */
static enum blk_status plan(struct blk_req *req)
{
	struct header h;

	if (virtq_chain_read(&req->chain, 0, &h, sizeof(h)) < 0)
		return BLK_S_IOERR;
	req->type = h.type;
	switch (h.type) {
	case BLK_T_IN:
		return plan_in(req, h.sector);
	case BLK_T_OUT:
		return plan_out(req, h.sector);
	case BLK_T_FLUSH:
		return plan_flush(req);
	case BLK_T_GET_ID:
		return plan_get_id(req);
	case BLK_T_DISCARD:
		return plan_ranges(req, BLK_OP_DISCARD);
	case BLK_T_WRITE_ZEROES:
		return plan_ranges(req, BLK_OP_ZERO);
	default:
		return BLK_S_UNSUPP;
	}
}

uint64_t blk_req_plan(struct blk_req *req)
{
	uint64_t bytes = 0;

	req->nops = 0;
	req->written = 0;
	req->status = plan(req);
	if (req->status != BLK_S_OK)
		req->nops = 0;
	/* Zeros may have to be written; forgetting moves nothing. */
	for (unsigned i = 0; i < req->nops; i++)
		bytes += req->op[i].kind == BLK_OP_DISCARD ? 0 : req->op[i].len;
	return bytes;
}

bool blk_req_bounces(const struct blk_req *req)
{
	return req->nops > 0 && req->op[0].bounce;
}

/* The status goes out and the chain back. */
static void answer(struct blk_req *req)
{
	struct blk *b = req->blk;
	const struct virtq_chain *c = &req->chain;
	uint8_t byte = (uint8_t)req->status;
	int r = virtq_chain_write(c, in_data(c), &byte, sizeof(byte));

	assert(r == 0);
	(void)r;
	/* `used.len' promises bytes without a gap (2.7.8.2); the status is the last. */
	if (req->written == in_data(c))
		req->written++;
	virtq_fill(&b->vdev.queue[0].q, c, (uint32_t)req->written);
	req->next = b->free;
	b->free = req;
}

static void count_done(struct blk_metrics *m, const struct blk_op *op, usec_t took)
{
	switch (op->kind) {
	case BLK_OP_READ:
		counter_inc(&m->read_count);
		counter_add(&m->read_bytes, op->done);
		latency_record(&m->read_agg, took);
		return;
	case BLK_OP_WRITE:
		counter_inc(&m->write_count);
		counter_add(&m->write_bytes, op->done);
		latency_record(&m->write_agg, took);
		return;
	case BLK_OP_FLUSH:
		counter_inc(&m->flush_count);
		return;
	case BLK_OP_DISCARD: /* the contract has no counters for these */
	case BLK_OP_ZERO:
		return;
	}
}

static const char *name_of(enum blk_op_kind kind)
{
	static const char *const names[] = {
		[BLK_OP_READ] = "read",		[BLK_OP_WRITE] = "write",
		[BLK_OP_FLUSH] = "flush",	[BLK_OP_DISCARD] = "discard",
		[BLK_OP_ZERO] = "write zeroes",
	};

	return names[kind];
}

/* io_uring cancels by itself what needs a thread of the kernel's when it can make none. */
static const char *reason_of(const struct blk_op *op)
{
	return op->error == -ECANCELED ? "no thread for io_uring; raise RLIMIT_NPROC or pids.max"
				       : strerror(-op->error);
}

static void fail_op(struct blk *b, const struct blk_op *op)
{
	if (op->cancelled && op->error == -ECANCELED) /* by a reset, and nobody's fault */
		return;
	counter_inc(&b->metrics.execute_fails);
	log_guest(LOG_WARN, "%s: %s of %llu bytes at %llu failed: %s", vdev_name(&b->vdev),
		  name_of(op->kind), (unsigned long long)op->len, (unsigned long long)op->off,
		  reason_of(op));
	/* What was not begun has lost nothing. */
	if (op->kind == BLK_OP_FLUSH && b->flush_error == 0 && op->error != -ECANCELED)
		b->flush_error = op->error;
}

/* All operations have ended: one failure fails the request. */
static void conclude(struct blk_req *req)
{
	struct blk *b = req->blk;

	if (blk_req_bounces(req))
		b->bounce_taken = false;
	for (unsigned i = 0; i < req->nops; i++) {
		struct blk_op *op = &req->op[i];

		if (op->kind == BLK_OP_READ && req->status == BLK_S_OK)
			req->written += op->done;
		/* The kernel says that all is well now; what was lost stays lost. */
		if (op->kind == BLK_OP_FLUSH && op->error == 0)
			op->error = b->flush_error;
		if (op->error < 0) {
			req->status = BLK_S_IOERR;
			fail_op(b, op);
		} else {
			count_done(&b->metrics, op, clock_monotonic() - req->begun);
		}
	}
	answer(req);
}

void blk_req_run(struct blk_req *req)
{
	struct blk *b = req->blk;

	if (req->status != BLK_S_OK)
		counter_inc(&b->metrics.invalid_reqs_count);
	else if (req->type == BLK_T_GET_ID &&
		 virtq_chain_write(&req->chain, 0, b->serial, BLK_SERIAL) == 0)
		req->written = BLK_SERIAL;
	if (blk_req_bounces(req)) {
		b->bounce_taken = true;
		blk_op_begin(&req->op[0]);
	}
	req->pending = req->nops;
	req->begun = clock_monotonic();
	for (unsigned i = 0; i < req->nops; i++)
		req->pending -= b->engine->class->start(b->engine, &req->op[i]);
	b->held += req->pending;
	if (req->pending == 0)
		conclude(req);
}

void blk_op_done(struct blk_op *op)
{
	struct blk_req *req = op->req;
	struct blk *b = req->blk;

	vdev_lock(&b->vdev);
	assert(req->pending > 0 && b->held > 0);
	b->held--;
	if (--req->pending == 0) {
		conclude(req);
		vdev_flush(&b->vdev, 0, b->starved ? VDEV_AGAIN : VDEV_LATER);
		b->starved = false;
	}
	vdev_unlock(&b->vdev);
}
