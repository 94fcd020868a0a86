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
	BLK_OP_FLUSH,	/* what was written before is on the disk when it is done */
	BLK_OP_DISCARD, /* the contents may be forgotten; success also if the file cannot */
	BLK_OP_ZERO,	/* reads as zeros afterwards, if need be because zeros were written */
};

enum { BLK_PIECE = 64 * 1024 }; /* bytes that a call moves when they are copied */

struct blk_req;
struct blk_engine;

struct blk_op {
	struct blk_req *req; /* the device's */
	enum blk_op_kind kind;
	int fd;
	bool direct; /* goes around the host's page cache */
	uint64_t off, len;
	bool unmap;	   /* ZERO: the file may free the range */
	struct iovec *iov; /* READ, WRITE: len bytes; guest memory; the engine uses it up */
	unsigned niov;
	void *bounce;  /* READ, WRITE: BLK_PIECE bytes that iov is not aligned for; or NULL */
	uint64_t done; /* result: bytes moved, from the start on without a gap */
	int error;     /* result: 0 when all of it is done, else -errno */

	/* The engine's, from start() to blk_op_done(). */
	bool by_writing;     /* ZERO: fallocate cannot do it here */
	unsigned retries;    /* without progress */
	struct iovec piece;  /* of zeros or the bounce buffer: what iov is meanwhile; or of iov */
	struct iovec *guest; /* of a bounced one: its iov */
	unsigned nguest;
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
	/*
	 * Operations are on this file from now on; none is in flight. 0, or -errno and the
	 * file is the one before. Main.
	 */
	int (*set_file)(struct blk_engine *engine, int fd);
	/* None is in flight. Main. */
	void (*destroy)(struct blk_engine *engine);
};

struct blk_engine { /* embedded in the engine's object */
	const struct blk_engine_class *class;
};

/* An engine's answer to a start() that returned false. Takes the device's lock. */
void blk_op_done(struct blk_op *op);

/* Before start(): the bounce buffer is the operation's from now on. */
void blk_op_begin(struct blk_op *op);

/* Calls on the calling thread. Stateless, so one is enough. */
extern struct blk_engine blk_sync_engine;

/* --- for engines -------------------------------------------------------------------- */

/* The system call, or the ring's operation, that an operation needs next. */
enum blk_call {
	BLK_CALL_READ,	/* iov[0..niov), at off + done */
	BLK_CALL_WRITE, /* the same */
	BLK_CALL_SYNC,	/* fdatasync */
	BLK_CALL_ALLOC, /* fallocate with blk_op_mode(), of off and len */
};
must_check enum blk_call blk_op_call(const struct blk_op *op);
must_check int blk_op_mode(const struct blk_op *op);

/*
 * Takes the result of that call: what it moved, 0, or -errno. True: the operation has
 * ended. False: it needs another call, because a transfer was short, a signal came
 * between, or the file cannot do what it was asked for. Ends after so many calls in
 * any case.
 */
must_check bool blk_op_take(struct blk_op *op, ssize_t res);
