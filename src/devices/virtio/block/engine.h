/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What carries out block operations. A request of the guest is one or more
 * operations on files; an engine knows operations only, neither requests nor
 * guests. An operation either is finished when start() returns, or stays with the
 * engine until it calls blk_op_done().
 */
#pragma once

#include <sys/uio.h>

#include "base/cc.h"
#include "base/uring.h"

enum blk_op_kind {
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_FLUSH, /* what was written before is on the disk when it is done */
};

struct blk_req;
struct blk_engine;

struct blk_op {
	struct blk_req *req; /* the device's */
	enum blk_op_kind kind;
	int fd;
	uint64_t off, len;
	struct iovec *iov; /* len bytes; guest memory; the engine uses it up */
	unsigned niov;
	uint64_t done; /* result: bytes moved, from the start on without a gap */
	int error;     /* result: 0 when done == len, else -errno */

	/* The engine's, from start() to blk_op_done(). */
	struct blk_engine *engine;
	struct uring_op ring_op;
	struct blk_op *prev, *next;
	bool cancelled;
};

struct blk_engine_class {
	const char *name;
	unsigned depth; /* operations it takes at a time */
	/*
	 * True: finished. False: blk_op_done() will be called, on the loop and with no
	 * device lock held. Called with the device's lock held.
	 */
	bool (*start)(struct blk_engine *engine, struct blk_op *op);
	/*
	 * Nobody wants the results any more: what has not begun ends with -ECANCELED, what
	 * runs ends by itself. Device's lock held.
	 */
	void (*cancel)(struct blk_engine *engine);
	/* Operations are on this file from now on; none is in flight. 0 or -errno. Main. */
	int (*set_file)(struct blk_engine *engine, int fd);
	/* None is in flight. Main. */
	void (*destroy)(struct blk_engine *engine);
};

struct blk_engine { /* embedded in the engine's object */
	const struct blk_engine_class *class;
};

/* An engine's answer to a start() that returned false. Takes the device's lock. */
void blk_op_done(struct blk_op *op);

/* preadv, pwritev, fdatasync on the calling thread. Stateless, so one is enough. */
extern struct blk_engine blk_sync_engine;
