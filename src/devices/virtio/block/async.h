/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine `Async': block operations through the loop's io_uring.
 *
 * What the page cache holds is read at once with RWF_NOWAIT, because a ring would
 * only add to it; everything else goes through the ring, in parts that keep the loop
 * from nobody for long.
 *
 * Main thread, like the ring.
 */
#pragma once

#include "base/err.h"
#include "base/uring.h"
#include "devices/virtio/block/engine.h"

enum {
	BLK_ASYNC_DEPTH = 128, /* operations of one drive that are in flight at most */
	BLK_ASYNC_WAITS = 4,   /* those among them that take a thread of the ring's each */
	BLK_ASYNC_WORKERS = BLK_ASYNC_WAITS + 1, /* and one for writes that the kernel puts off */
	BLK_ASYNC_PART = 2 << 20,		 /* bytes that the ring moves of one at a time */
};

/*
 * For the drive whose file is, or will be, in `slot' of the ring's table. The ring is
 * the caller's, outlives the engine and has BLK_ASYNC_DEPTH of its depth and BLK_ASYNC_WORKERS
 * of its threads for it.
 */
must_check int blk_async_create(struct uring *ring, unsigned slot, struct blk_engine **ret_engine,
				struct err *e);
