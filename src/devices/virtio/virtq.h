/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, device side (virtio 1.2, section 2.7).
 *
 * Owner: one thread at a time, the one holding the device lock. The ring
 * addresses are checked once, by virtq_start(); after it the three pointers are
 * valid for the whole ring until virtq_stop(). What the driver writes through
 * them is not: every load is one atomic load of a fixed width, and a descriptor
 * is copied before any of its fields is used.
 *
 * Each popped chain is filled or given back exactly once. A head that is popped
 * and not yet filled is in flight, and the same head offered again meanwhile is a
 * protocol error, so a chain's head is a key that a device may trust.
 *
 * -EPROTO from any function means that the driver broke the protocol. The caller
 * marks the device as needing reset; it never exits and never asserts.
 */
#pragma once

#include <sys/uio.h>

#include "base/cc.h"
#include "mem/gmem.h"

enum {
	VIRTQ_MAX_SIZE = 256,
	/* Holds every chain of VIRTQ_MAX_SIZE segments that do not overlap. */
	VIRTQ_IOV_MAX = VIRTQ_MAX_SIZE + GMEM_MAX_REGIONS,
};

struct virtq_cfg { /* as the driver programmed it, unchecked */
	uint16_t size;
	gpa_t desc, avail, used;
};

struct virtq_desc;
struct virtq_avail;
struct virtq_used;

struct virtq {
	const struct gmem *mem;
	struct virtq_desc *desc; /* guest memory, all three; NULL while stopped */
	struct virtq_avail *avail;
	struct virtq_used *used;
	struct virtq_cfg cfg;
	uint16_t next_avail;
	uint16_t next_used; /* filled */
	uint16_t published; /* what used->idx says */
	uint16_t inflight;  /* popped, not filled */
	bool event_idx;
	bool indirect;
	uint64_t busy[VIRTQ_MAX_SIZE / 64]; /* one bit per head in flight */
};

struct virtq_chain {
	uint16_t head;
	unsigned nout, nin; /* iov[0..nout) is read, the nin after it are written */
	uint64_t out_len, in_len;
	unsigned cap;	   /* the device says how many it can take */
	struct iovec *iov; /* its array, kept unchanged until virtq_fill() */
};

/* `idx' is where the rings stand: 0 for a new queue, virtq_idx() for a saved one. */
must_check int virtq_start(struct virtq *q, const struct gmem *m, const struct virtq_cfg *cfg,
			   bool event_idx, bool indirect, uint16_t idx);
void virtq_stop(struct virtq *q);

/*
 * The one number that a queue at rest consists of: with nothing in flight, what
 * was popped, filled and published is the same. Asserts that it is at rest.
 */
must_check uint16_t virtq_idx(const struct virtq *q);

/* 1 with a chain, 0 when the ring is empty, -EPROTO. */
must_check int virtq_pop(struct virtq *q, struct virtq_chain *c);

/* Chains that are offered and not popped, as far as they can be true. */
must_check unsigned virtq_waiting(const struct virtq *q);

/* Gives the chain that was popped last back, for a backend that has no room now. */
void virtq_unpop(struct virtq *q, const struct virtq_chain *c);

/*
 * Copies out of the readable and into the writable part. The whole range or
 * -EPROTO with nothing copied: a chain shorter than its protocol demands.
 */
must_check int virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *dst, size_t len);
must_check int virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *src,
				 size_t len);

/*
 * Fill writes a used entry and marks the whole writable part of the chain dirty:
 * a status byte stands at its end, and a failed read may have written more than
 * it reports. Publish shows all filled entries with one store and returns whether
 * the driver wants an interrupt.
 */
void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t written);
must_check bool virtq_publish(struct virtq *q);

/* Asks for a kick. True when work arrived meanwhile and no kick will come. */
must_check bool virtq_arm(struct virtq *q);

/*
 * What the driver's index says, for a look at it without the lock: the memory is there for
 * as long as the guest's is. Of a queue that runs.
 */
struct virtq_peek {
	const uint16_t *idx;
	uint16_t seen; /* popped so far */
};
must_check struct virtq_peek virtq_peek(const struct virtq *q);
must_check bool virtq_peek_moved(const struct virtq_peek *peek);

/*
 * Asks for a kick by the next entry that the driver adds, whatever waits already; what
 * avail->idx says now. Of a queue that runs.
 */
must_check uint16_t virtq_arm_next(struct virtq *q);
