/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio entropy device (virtio 1.2, 5.4): getrandom(2) into the guest's buffers,
 * at most 64 KiB for each.
 */
#pragma once

#include "base/err.h"
#include "base/metrics.h"
#include "base/rate.h"
#include "devices/virtio/vdev.h"

/* Names and order of the contract's group `entropy'. */
#define RNG_METRICS(X)                    \
	X(activate_fails)                 \
	X(entropy_event_fails)            \
	X(entropy_event_count)            \
	X(entropy_bytes)                  \
	X(host_rng_fails)                 \
	X(entropy_rate_limiter_throttled) \
	X(rate_limiter_event_count)

struct rng_metrics {
#define X(name) counter_t name;
	RNG_METRICS(X)
#undef X
};
extern const struct metrics_shape rng_metrics_shape;

/* Main thread. */
must_check int rng_create(struct vdev **ret, struct err *e);

/*
 * Limits the requests: one operation each, and the bytes asked for. NULL leaves a
 * bucket as it is; a size or a time of 0 takes its limit away. Main thread.
 */
void rng_set_limits(struct vdev *dev, const struct rate_cfg *bandwidth, const struct rate_cfg *ops);

/* Any thread. */
must_check const struct rng_metrics *rng_metrics(const struct vdev *dev);
