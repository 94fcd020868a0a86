/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/rng/rng.h"

#include <sys/random.h>

#include "base/fault.h"
#include "devices/virtio/limit.h"

enum {
	VIRTIO_ID_ENTROPY = 4,
	REQUEST_MAX = 64 * 1024, /* bytes; larger buffers are filled up to here */
	/* Chains per turn. At 64 KiB each, VDEV_BUDGET would hold the loop for 10 ms. */
	BUDGET = 8,
};

struct rng {
	struct vdev vdev;
	struct rng_metrics metrics;
	struct metrics_group group;
	struct vdev_limit limit;
	struct iovec iov[VIRTQ_IOV_MAX];
};

static struct rng *rng_of(const struct vdev *dev)
{
	return container_of(dev, struct rng, vdev);
}

/* Random bytes into the guest; fewer than `len' when the host has none to give. */
static size_t fill(uint8_t *at, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = FAULT(-EIO) ? 0 : getrandom(at + done, len - done, 0);

		if (n < 0 && errno == EINTR) /* a signal before the first byte */
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void serve(struct rng *rng, const struct virtq_chain *c, uint64_t want)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < c->nin && done < want; i++) {
		const struct iovec *seg = &c->iov[c->nout + i];
		size_t part = want - done < seg->iov_len ? want - done : seg->iov_len;
		size_t n = fill(seg->iov_base, part);

		done += n;
		if (n < part) {
			counter_inc(&rng->metrics.host_rng_fails);
			break;
		}
	}
	counter_add(&rng->metrics.entropy_bytes, done);
	virtq_fill(&rng->vdev.queue[0].q, c, (uint32_t)done);
}

/* One request, if there is one; what comes after it. */
static enum vdev_next serve_one(struct rng *rng, unsigned queue)
{
	struct virtq_chain c = { .iov = rng->iov, .cap = ARRAY_SIZE(rng->iov) };
	struct virtq *q = &rng->vdev.queue[queue].q;
	uint64_t want;

	if (vdev_pop(&rng->vdev, queue, &c) == 0)
		return VDEV_ON_KICK;
	/*
	 * Readable buffers must not be here (5.4.6.1), and there is no status byte to
	 * refuse a request with: an answer of 0 bytes would only make such a driver ask
	 * again.
	 */
	if (c.out_len > 0 || c.in_len == 0) {
		virtq_unpop(q, &c);
		vdev_fail(&rng->vdev, "a request is not a writable buffer");
		return VDEV_ON_KICK;
	}
	want = c.in_len < REQUEST_MAX ? c.in_len : REQUEST_MAX;
	if (!vdev_limit_take(&rng->limit, want)) {
		virtq_unpop(q, &c);
		return VDEV_LATER;
	}
	serve(rng, &c, want);
	return VDEV_AGAIN;
}

static void rng_kick(struct vdev *dev, unsigned queue)
{
	struct rng *rng = rng_of(dev);
	enum vdev_next next = vdev_limit_waits(&rng->limit) ? VDEV_LATER : VDEV_AGAIN;

	for (unsigned n = 0; n < BUDGET && next == VDEV_AGAIN; n++)
		next = serve_one(rng, queue);
	vdev_flush(dev, queue, next);
}

static uint64_t rng_features(const struct vdev *dev)
{
	(void)dev;
	return VIRTIO_F_VERSION_1;
}

static void rng_config(const struct vdev *dev, void *buf)
{
	(void)dev;
	(void)buf;
}

static int rng_activate(struct vdev *dev)
{
	(void)dev;
	return 0;
}

/* Nothing is ever in flight between two kicks. */
static void rng_nothing(struct vdev *dev)
{
	(void)dev;
}

static void rng_save(const struct vdev *dev, struct state_out *out)
{
	vdev_limit_save(&rng_of(dev)->limit, out);
}

static int rng_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	(void)e;
	vdev_limit_load(&rng_of(dev)->limit, in);
	return 0;
}

static void rng_destroy(struct vdev *dev)
{
	metrics_remove(&rng_of(dev)->group);
	vdev_limit_fini(&rng_of(dev)->limit);
	free(rng_of(dev));
}

static const char *const metrics_names[] = { RNG_METRICS(METRICS_NAME) };

const struct metrics_shape rng_metrics_shape = METRICS_SHAPE("entropy", metrics_names,
							     struct rng_metrics);

static const struct vdev_class rng_class = {
	.id = VIRTIO_ID_ENTROPY,
	.nqueues = 1,
	.queue_max = VIRTQ_MAX_SIZE,
	.features = rng_features,
	.config = rng_config,
	.activate = rng_activate,
	.kick = rng_kick,
	.reset = rng_nothing,
	.quiesce = rng_nothing,
	.resume = rng_nothing,
	.save = rng_save,
	.load = rng_load,
	.destroy = rng_destroy,
};

int rng_create(struct vdev **ret, struct err *e)
{
	autofree struct rng *rng = FAULT(-ENOMEM) ? NULL : calloc(1, sizeof(*rng));
	struct vdev_counters count;
	int r;

	if (!rng)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "entropy: no memory");
	count = (struct vdev_counters){
		.activate_fails = &rng->metrics.activate_fails,
		.event_fails = &rng->metrics.entropy_event_fails,
		.kicks = &rng->metrics.entropy_event_count,
	};
	rng->group = (struct metrics_group){ .shape = &rng_metrics_shape,
					     .counters = &rng->metrics };
	r = metrics_add(&rng->group);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "entropy: no memory for metrics");
	r = vdev_init(&rng->vdev, &rng_class, &count, "entropy", e);
	if (r < 0) {
		metrics_remove(&rng->group);
		return r;
	}
	vdev_limit_init(&rng->limit, &rng->vdev, 0, &rng->metrics.entropy_rate_limiter_throttled,
			&rng->metrics.rate_limiter_event_count);
	*ret = &take_ptr(&rng)->vdev;
	return 0;
}

void rng_set_limits(struct vdev *dev, const struct rate_cfg *bandwidth, const struct rate_cfg *ops)
{
	vdev_limit_set(&rng_of(dev)->limit, bandwidth, ops);
}

const struct rng_metrics *rng_metrics(const struct vdev *dev)
{
	return &rng_of(dev)->metrics;
}
