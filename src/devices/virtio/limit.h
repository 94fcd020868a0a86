/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate limit of one virtqueue: two token buckets and the timer that kicks the
 * queue when there are tokens again. A request that has to wait is given back to
 * the ring, so it is neither in flight nor in the way of a reset or a pause.
 */
#pragma once

#include "base/loop.h"
#include "base/rate.h"
#include "devices/virtio/vdev.h"

struct vdev_limit { /* embedded in the device; all of it (L) */
	struct vdev *dev;
	unsigned queue;
	struct rate_limiter buckets;
	struct loop_timer timer; /* the loop's */
	counter_t *throttled;	 /* requests that had to wait */
	counter_t *refilled;	 /* times the timer has fired */
};

/* No limit yet. Main thread. */
void vdev_limit_init(struct vdev_limit *l, struct vdev *dev, unsigned queue, counter_t *throttled,
		     counter_t *refilled);

/* NULL leaves a bucket as it is; a size or a time of 0 takes its limit away. Loop. */
void vdev_limit_set(struct vdev_limit *l, const struct rate_cfg *bandwidth,
		    const struct rate_cfg *ops);

/* Whether the queue waits for its timer; a run then ends with VDEV_LATER. Loop. */
must_check bool vdev_limit_waits(const struct vdev_limit *l);

/* One operation of `bytes' bytes may go on; else the timer is set. Loop, lock held. */
must_check bool vdev_limit_take(struct vdev_limit *l, uint64_t bytes);

/* The operation was not done after all. Loop, lock held. */
void vdev_limit_give_back(struct vdev_limit *l, uint64_t bytes);

/* Stops the timer; for the device's destroy. */
void vdev_limit_fini(struct vdev_limit *l);

/* What is left in the buckets; their sizes are configuration. Lock held. */
void vdev_limit_save(const struct vdev_limit *l, struct state_out *out);
void vdev_limit_load(struct vdev_limit *l, struct state_in *in);
