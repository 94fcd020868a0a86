/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the block device: the device's object and its requests. */
#pragma once

#include "devices/virtio/block/block.h"
#include "devices/virtio/block/engine.h"
#include "devices/virtio/limit.h"

enum {
	BLK_SECTOR = 512, /* bytes, whatever the file's own block is (5.2.4) */
	BLK_SERIAL = 20,  /* bytes of a GET_ID answer, 5.2.6 */
	BLK_ID_MAX = 64,  /* bytes of a drive_id */
	/* Header and status stand in descriptors of their own in every known driver. */
	BLK_SEG_MAX = VIRTQ_MAX_SIZE - 2,
	/* Of a DISCARD or WRITE_ZEROES: ranges, and sectors in one of them (5.2.4). */
	BLK_RANGES_MAX = 16,
	BLK_DISCARD_SECTORS = 1 << 22,
	BLK_ZEROES_SECTORS = 1 << 15, /* little: there are files that take zeros as data */
	BLK_REQ_OPS = BLK_RANGES_MAX, /* an operation each; all else is one */
};

enum blk_type { /* 5.2.6 */
		BLK_T_IN = 0,
		BLK_T_OUT = 1,
		BLK_T_FLUSH = 4,
		BLK_T_GET_ID = 8,
		BLK_T_DISCARD = 11,
		BLK_T_WRITE_ZEROES = 13,
};

enum blk_status { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 }; /* 5.2.6 */

/* A request, from the pop of its chain to the fill. */
struct blk_req {
	struct blk *blk;
	struct blk_req *next;	/* while free */
	uint32_t type;		/* the driver's word, any */
	uint64_t written;	/* bytes at the start of the writable part */
	usec_t begun;		/* by the engine */
	enum blk_status status; /* as far as is known */
	unsigned nops, pending;
	struct blk_op *op; /* BLK_REQ_OPS */
	struct virtq_chain chain;
	struct iovec *data; /* VIRTQ_IOV_MAX, for the engine to use up */
};

struct blk {
	struct vdev vdev;
	struct blk_metrics metrics;
	struct metrics_group group;
	char id[BLK_ID_MAX + 1];
	struct vdev_limit limit;
	struct blk_engine *engine;    /* owned */
	bool read_only;		      /* constant */
	enum blk_cache cache;	      /* constant */
	bool discard;		      /* constant; DISCARD and WRITE_ZEROES are served */
	struct blk_geometry geometry; /* constant */
	bool want_direct;	      /* constant */
	void *bounce;		      /* owned; BLK_PIECE bytes; NULL: not wanted */
	bool bounce_taken;	      /* (L) by the request that runs with it */
	unsigned align;		      /* (L) of memory that O_DIRECT asks for; 0: buffered */
	int fd;			      /* (L) */
	uint64_t bytes;		      /* (L) of the file when it was opened */
	uint64_t sectors;	      /* (L) */
	char serial[BLK_SERIAL];      /* (L) */
	uint32_t discard_sectors;     /* (L) the file's unit of allocation */
	int flush_error;	      /* (L) of the first FLUSH that failed, see block.h */
	unsigned held;		      /* (L) operations that the engine has not finished */
	bool starved;		      /* (L) a run ended because the engine has no room */
	uint64_t turn_bytes;	      /* (L) moved by the running turn */
	struct blk_req *free;	      /* (L) */
	struct blk_req *reqs;	      /* owned, as many as the engine is deep */
	struct blk_op *ops;	      /* owned; each request's operations */
	struct iovec *iov;	      /* owned; each request's chain and data */
};

/*
 * Makes the plan of a popped request and returns how many bytes it will move. The
 * guest sees nothing yet, and the chain may still be given back. Lock held.
 */
must_check uint64_t blk_req_plan(struct blk_req *req);

/* Whether the plan needs the device's bounce buffer. */
must_check bool blk_req_bounces(const struct blk_req *req);

/* Carries the plan out, or as far as the engine does at once. Lock held. */
void blk_req_run(struct blk_req *req);
