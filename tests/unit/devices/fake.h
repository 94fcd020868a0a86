/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device that keeps what it pops until it is told to give it back: two
 * queues, 12 bytes of configuration of which the last four can be written.
 */
#pragma once

#include "driver.h"

enum { FAKE_QUEUES = 2, FAKE_CONFIG = 12, FAKE_ID = 42, FAKE_HELD = 8 };
#define FAKE_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | 5)

struct fake {
	struct vdev vdev;
	struct virtq_chain held[FAKE_HELD];
	struct iovec iov[FAKE_HELD][4];
	unsigned nheld;
	uint8_t config[FAKE_CONFIG];
	bool cannot_activate;
	bool prompt; /* quiesce gives everything back by itself */
	unsigned activated, kicked[FAKE_QUEUES], reset, quiesced, drained, resumed;
	counter_t activate_fails, cfg_fails, event_fails, kicks;
};

static struct fake *fake;

/* Lock held. */
maybe_unused static void fake_finish(struct fake *f)
{
	while (f->nheld > 0)
		virtq_fill(&f->vdev.queue[0].q, &f->held[--f->nheld], 0);
	vdev_flush(&f->vdev, 0, VDEV_AGAIN);
}

maybe_unused static void fake_complete(void)
{
	vdev_lock(&fake->vdev);
	fake_finish(fake);
	vdev_unlock(&fake->vdev);
}

static struct fake *fake_of(const struct vdev *dev)
{
	return container_of(dev, struct fake, vdev);
}

static uint64_t fake_features(const struct vdev *dev)
{
	(void)dev;
	return FAKE_FEATURES;
}

static void fake_config(const struct vdev *dev, void *buf)
{
	memcpy(buf, fake_of(dev)->config, FAKE_CONFIG);
}

static int fake_config_write(struct vdev *dev, unsigned off, const void *data, unsigned len)
{
	if (off < 8)
		return -EPERM;
	memcpy(fake_of(dev)->config + off, data, len);
	return 0;
}

static int fake_activate(struct vdev *dev)
{
	fake_of(dev)->activated++;
	return fake_of(dev)->cannot_activate ? -EIO : 0;
}

static void fake_kick(struct vdev *dev, unsigned queue)
{
	struct fake *f = fake_of(dev);

	f->kicked[queue]++;
	while (f->nheld < FAKE_HELD) {
		struct virtq_chain *c = &f->held[f->nheld];

		c->iov = f->iov[f->nheld];
		c->cap = ARRAY_SIZE(f->iov[0]);
		if (vdev_pop(dev, queue, c) == 0)
			break;
		f->nheld++;
	}
	vdev_flush(dev, queue, f->nheld < FAKE_HELD ? VDEV_ON_KICK : VDEV_LATER);
}

static void fake_reset(struct vdev *dev)
{
	fake_of(dev)->reset++;
	CHECK_EQ(fake_of(dev)->nheld, 0);
}

static void fake_quiesce(struct vdev *dev)
{
	struct fake *f = fake_of(dev);

	f->quiesced++;
	f->drained += dev->resetting;
	if (f->prompt)
		fake_finish(f);
}

static void fake_resume(struct vdev *dev)
{
	fake_of(dev)->resumed++;
}

static void fake_save(const struct vdev *dev, struct state_out *out)
{
	state_put_mem(out, fake_of(dev)->config, FAKE_CONFIG);
}

static int fake_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	(void)e;
	state_get_mem(in, fake_of(dev)->config, FAKE_CONFIG);
	return 0;
}

static void fake_destroy(struct vdev *dev)
{
	free(fake_of(dev));
	fake = NULL;
}

static const struct vdev_class fake_class = {
	.id = FAKE_ID,
	.nqueues = FAKE_QUEUES,
	.queue_max = 128,
	.config_size = FAKE_CONFIG,
	.features = fake_features,
	.config = fake_config,
	.config_write = fake_config_write,
	.activate = fake_activate,
	.kick = fake_kick,
	.reset = fake_reset,
	.quiesce = fake_quiesce,
	.resume = fake_resume,
	.save = fake_save,
	.load = fake_load,
	.destroy = fake_destroy,
};

maybe_unused static void plug_fake(void)
{
	struct vdev_counters count;
	struct err e;

	fake = calloc(1, sizeof(*fake));
	CHECK(fake);
	count = (struct vdev_counters){ &fake->activate_fails, &fake->cfg_fails, &fake->event_fails,
					&fake->kicks };
	for (unsigned i = 0; i < FAKE_CONFIG; i++)
		fake->config[i] = (uint8_t)(0xa0 + i);
	CHECK_EQ(vdev_init(&fake->vdev, &fake_class, &count, "fake `x'", &e), 0);
	plug(&fake->vdev);
}
