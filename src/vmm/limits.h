/* SPDX-License-Identifier: Apache-2.0 */
/* Rate limits, from what the user configured to what a device takes. Main thread. */
#pragma once

#include "base/rate.h"
#include "conf/rate_limiter.h"

struct vdev;

static inline struct rate_cfg limit_of(const struct conf_token_bucket *bucket)
{
	return (struct rate_cfg){ .size = bucket->size,
				  .refill_time_ms = bucket->refill_time_ms,
				  .one_time_burst = bucket->one_time_burst };
}

typedef void (*limit_fn)(struct vdev *dev, const struct rate_cfg *bandwidth,
			 const struct rate_cfg *ops);

/* Sets the buckets that are given; the device keeps the others. */
static inline void limit_device(struct vdev *dev, limit_fn set,
				const struct conf_rate_limiter *limiter)
{
	struct rate_cfg bandwidth = limit_of(&limiter->bandwidth);
	struct rate_cfg ops = limit_of(&limiter->ops);

	set(dev, limiter->has_bandwidth ? &bandwidth : NULL, limiter->has_ops ? &ops : NULL);
}
