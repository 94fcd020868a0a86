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

#include "devices/virtio/iov.h"

struct header { /* 5.2.6 */
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
static_assert(sizeof(struct header) == 16, "virtio 1.2, 5.2.6");

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

	*op = (struct blk_op){ .req = req, .kind = kind, .fd = req->blk->fd };
	return op;
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
	for (unsigned i = 0; i < req->nops; i++)
		bytes += req->op[i].len;
	return bytes;
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

static void count_done(struct blk_metrics *m, const struct blk_op *op)
{
	switch (op->kind) {
	case BLK_OP_READ:
		counter_inc(&m->read_count);
		counter_add(&m->read_bytes, op->done);
		return;
	case BLK_OP_WRITE:
		counter_inc(&m->write_count);
		counter_add(&m->write_bytes, op->done);
		return;
	case BLK_OP_FLUSH:
		counter_inc(&m->flush_count);
		return;
	}
}

/* All operations have ended: one failure fails the request. */
static void conclude(struct blk_req *req)
{
	struct blk_metrics *m = &req->blk->metrics;

	for (unsigned i = 0; i < req->nops; i++) {
		const struct blk_op *op = &req->op[i];

		if (op->kind == BLK_OP_READ && req->status == BLK_S_OK)
			req->written += op->done;
		if (op->error < 0) {
			req->status = BLK_S_IOERR;
			counter_inc(&m->execute_fails);
		} else {
			count_done(m, op);
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
	req->pending = req->nops;
	for (unsigned i = 0; i < req->nops; i++)
		req->pending -= b->engine->class->start(b->engine, &req->op[i]);
	if (req->pending == 0)
		conclude(req);
}

void blk_op_done(struct blk_op *op)
{
	struct blk_req *req = op->req;
	struct blk *b = req->blk;

	vdev_lock(&b->vdev);
	assert(req->pending > 0);
	if (--req->pending == 0) {
		conclude(req);
		vdev_flush(&b->vdev, 0, b->starved ? VDEV_AGAIN : VDEV_LATER);
		b->starved = false;
	}
	vdev_unlock(&b->vdev);
}
