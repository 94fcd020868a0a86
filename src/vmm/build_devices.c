/* SPDX-License-Identifier: Apache-2.0 */
/* Which virtio devices a machine has, and in which order. */
#include "devices/virtio/rng/rng.h"
#include "devices/virtio/vsock/vsock.h"
#include "vmm/build.h"
#include "vmm/limits.h"

/* Takes the device over, whatever comes of it. */
static int attach(struct machine *m, const struct machine_cfg *cfg, struct vdev *dev, struct err *e)
{
	const struct virtio_where where = {
		.vm = &m->vm,
		.mem = &m->mem,
		.mmio = &m->mmio,
		.loop = cfg->loop,
		.cmdline = &m->cmdline,
		.pic_only = m->pic_only,
	};
	int r = virtio_attach(&m->virtio, &where, &dev, e);

	vdev_destroy(dev);
	return r;
}

static int build_drives(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_config *conf = cfg->config;

	for (unsigned i = 0; i < conf->ndrives; i++) {
		const struct conf_drive *d = conf->drives[i];
		struct vdev *dev = NULL;
		int r = drives_create(&m->drives, d, cfg->drive_fd[i], &dev, e);

		if (r < 0)
			return r;
		if (d->is_root_device)
			r = cmdline_add_root(&m->cmdline, d->partuuid, d->is_read_only, e);
		if (r < 0) {
			vdev_destroy(dev);
			return r;
		}
		r = attach(m, cfg, dev, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int build_nets(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_config *conf = cfg->config;

	for (unsigned i = 0; i < conf->nnets; i++) {
		struct vdev *dev = NULL;
		int r = nets_create(&m->nets, conf->nets[i], cfg->net_fd[i], &dev, e);

		if (r < 0)
			return r;
		if (conf->has_mmds && conf_mmds_has(&conf->mmds, conf->nets[i]->iface_id))
			r = mmds_nets_add(&m->mmds_nets, cfg->mmds, conf->mmds.ipv4_address, dev,
					  cfg->loop, e);
		if (r < 0) {
			vdev_destroy(dev);
			return r;
		}
		r = attach(m, cfg, dev, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int build_vsock(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_vsock *conf = &cfg->config->vsock;
	const struct vsock_cfg vsock = {
		.guest_cid = conf->guest_cid,
		.uds_path = conf->uds_path,
		.listen_fd = cfg->vsock_fd,
		.loop = cfg->loop,
	};
	struct vdev *dev = NULL;
	int r;

	if (!cfg->config->has_vsock)
		return 0;
	r = vsock_create(&vsock, &dev, e);
	return r < 0 ? r : attach(m, cfg, dev, e);
}

static int build_rng(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	struct vdev *rng = NULL;
	int r;

	if (!cfg->config->has_entropy)
		return 0;
	r = rng_create(&rng, e);
	if (r < 0)
		return r;
	if (cfg->config->entropy.has_rate_limiter)
		limit_device(rng, rng_set_limits, &cfg->config->entropy.rate_limiter);
	return attach(m, cfg, rng, e);
}

int build_virtio(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	int r = drives_init(&m->drives, cfg->config, cfg->loop, e);

	if (r == 0)
		r = build_drives(m, cfg, e);
	if (r == 0)
		r = build_nets(m, cfg, e);
	if (r == 0)
		r = build_vsock(m, cfg, e);
	if (r == 0)
		r = build_rng(m, cfg, e);
	return r;
}
