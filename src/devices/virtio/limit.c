/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/limit.h"

#include "base/fd.h"

static void on_refill(struct loop_timer *timer)
{
	struct vdev_limit *l = container_of(timer, struct vdev_limit, timer);

	counter_inc(l->refilled);
	fd_event_signal(vdev_kick_fd(l->dev, l->queue));
}

void vdev_limit_init(struct vdev_limit *l, struct vdev *dev, unsigned queue, counter_t *throttled,
		     counter_t *refilled)
{
	*l = (struct vdev_limit){
		.dev = dev,
		.queue = queue,
		.timer.fn = on_refill,
		.throttled = throttled,
		.refilled = refilled,
	};
}

void vdev_limit_set(struct vdev_limit *l, const struct rate_cfg *bandwidth,
		    const struct rate_cfg *ops)
{
	usec_t now = clock_monotonic();

	vdev_lock(l->dev);
	if (bandwidth)
		rate_bucket_init(&l->buckets.bandwidth, bandwidth, now);
	if (ops)
		rate_bucket_init(&l->buckets.ops, ops, now);
	/* Whoever waits by the old rates asks again. */
	if (vdev_limit_waits(l)) {
		loop_timer_cancel(l->dev->loop, &l->timer);
		fd_event_signal(vdev_kick_fd(l->dev, l->queue));
	}
	vdev_unlock(l->dev);
}

bool vdev_limit_waits(const struct vdev_limit *l)
{
	return l->timer.set;
}

static bool is_limited(const struct rate_bucket *b)
{
	return b->cfg.size > 0 && b->cfg.refill_time_ms > 0;
}

bool vdev_limit_take(struct vdev_limit *l, uint64_t bytes)
{
	usec_t now;

	if (!is_limited(&l->buckets.bandwidth) && !is_limited(&l->buckets.ops))
		return true; /* the usual case does not ask for the time */
	now = clock_monotonic();
	if (rate_limiter_take(&l->buckets, bytes, now))
		return true;
	counter_inc(l->throttled);
	loop_timer_set(l->dev->loop, &l->timer, rate_limiter_due(&l->buckets, bytes, now));
	return false;
}

void vdev_limit_give_back(struct vdev_limit *l, uint64_t bytes)
{
	rate_limiter_give_back(&l->buckets, bytes);
}

void vdev_limit_fini(struct vdev_limit *l)
{
	if (vdev_limit_waits(l))
		loop_timer_cancel(l->dev->loop, &l->timer);
}

static void save_bucket(const struct rate_bucket *b, struct state_out *out)
{
	state_put_u64(out, b->tokens);
	state_put_u64(out, b->burst);
	state_put_u64(out, b->debt);
}

void vdev_limit_save(const struct vdev_limit *l, struct state_out *out)
{
	save_bucket(&l->buckets.bandwidth, out);
	save_bucket(&l->buckets.ops, out);
}

/* Never more than the bucket holds, whatever the record says. */
static void load_bucket(struct rate_bucket *b, struct state_in *in)
{
	uint64_t tokens = state_get_u64(in), burst = state_get_u64(in);

	b->tokens = tokens < b->cfg.size ? tokens : b->cfg.size;
	b->burst = burst < b->cfg.one_time_burst ? burst : b->cfg.one_time_burst;
	b->debt = state_get_u64(in);
	b->rest = 0;
	b->updated = clock_monotonic();
}

void vdev_limit_load(struct vdev_limit *l, struct state_in *in)
{
	load_bucket(&l->buckets.bandwidth, in);
	load_bucket(&l->buckets.ops, in);
}
