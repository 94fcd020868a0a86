/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio block device (virtio 1.2, 5.2) over one raw file.
 *
 * Requests may be framed in any way: header, data and status are byte ranges of
 * the chain, not descriptors. A request is validated as a whole before the first
 * byte of I/O; what can be answered is answered with a status, always in the last
 * writable byte, and only a chain without room for one makes the device need a
 * reset.
 *
 * What the host cannot do (a full disk, a bad medium, a file that has become
 * shorter) is status IOERR, one `execute_fails' and a limited log line. A FLUSH that
 * failed is not forgotten: the kernel reports lost pages once, so every later FLUSH
 * fails too, until the driver resets the device or the file is replaced; a device that
 * is loaded knows of it as well. A FLUSH covers the writes that were answered before the
 * driver offered it.
 */
#pragma once

#include "base/err.h"
#include "base/metrics.h"
#include "base/rate.h"
#include "devices/virtio/block/open.h"
#include "devices/virtio/vdev.h"

struct blk_engine;

enum blk_cache {
	BLK_UNSAFE,    /* no FLUSH is offered; one that comes anyway does nothing */
	BLK_WRITEBACK, /* FLUSH is fdatasync */
};

struct blk_cfg {
	const char *id; /* drive_id; copied */
	int fd;		/* from blk_open(); the device's after success */
	bool read_only; /* as the descriptor was opened */
	enum blk_cache cache;
	bool discard;		      /* offer DISCARD and WRITE_ZEROES, unless read_only */
	bool direct;		      /* around the host's page cache, where the file can do that */
	struct blk_geometry geometry; /* of a block device; 0: a plain file */
	struct blk_engine *engine;    /* NULL: Sync. The device's after success */
};

/* Names and order of the contract's group `block_<drive_id>'. */
#define BLK_METRICS(X)                   \
	X(activate_fails)                \
	X(cfg_fails)                     \
	X(no_avail_buffer)               \
	X(event_fails)                   \
	X(execute_fails)                 \
	X(invalid_reqs_count)            \
	X(flush_count)                   \
	X(queue_event_count)             \
	X(rate_limiter_event_count)      \
	X(update_count)                  \
	X(update_fails)                  \
	X(read_bytes)                    \
	X(write_bytes)                   \
	X(read_count)                    \
	X(write_count)                   \
	X(rate_limiter_throttled_events) \
	X(io_engine_throttled_events)    \
	X(remaining_reqs_count)

struct blk_metrics {
#define X(name) counter_t name;
	BLK_METRICS(X)
#undef X
	struct latency read_agg, write_agg; /* of requests, from the engine's start to its end */
};
extern const struct metrics_shape blk_metrics_shape;

/*
 * Main thread. The capacity is the file's size in whole sectors of 512 bytes; a
 * tail that is no whole sector is out of reach (blk_tail() says how long it is).
 */
must_check int blk_create(const struct blk_cfg *cfg, struct vdev **ret, struct err *e);

/*
 * Goes on with another file, or the same one at another size, and tells the
 * driver. `fd' is the device's after success; nothing changes on error, which
 * includes requests in flight (-EBUSY; `Sync' never has one). Features and geometry
 * stay what the driver has been told at its start. Main thread.
 */
must_check int blk_replace(struct vdev *dev, int fd, struct err *e);

/*
 * With BLK_WRITEBACK: all that has been written is on the disk when it is done, whether or
 * not the driver has asked. It cannot be told of what fails here, so its next FLUSH fails
 * too. No-op for other devices. Main thread, while the device is idle.
 */
must_check int blk_sync(struct vdev *dev, struct err *e);

/*
 * Limits the requests: one operation each, and the data of reads, writes and
 * WRITE_ZEROES. NULL leaves a bucket as it is; a size or a time of 0 takes its limit
 * away. Main thread.
 */
void blk_set_limits(struct vdev *dev, const struct rate_cfg *bandwidth, const struct rate_cfg *ops);

/*
 * Whether I/O goes around the host's page cache: it was asked for, and the file takes
 * it in units of a sector. Memory that the driver has not aligned as the host wants is
 * copied. Main thread.
 */
must_check bool blk_is_direct(const struct vdev *dev);

/* Bytes at the end of the file that the guest cannot reach: 0..511. Main thread. */
must_check unsigned blk_tail(const struct vdev *dev);

/* Any thread. */
must_check const struct blk_metrics *blk_metrics(const struct vdev *dev);
