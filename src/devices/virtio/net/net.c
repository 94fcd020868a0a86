/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/net/net.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/events.h"
#include "base/fault.h"
#include "base/fd.h"
#include "devices/virtio/net/device.h"

enum { VIRTIO_ID_NET = 1, CONFIG_SIZE = 12, LINK_UP = 1 };

struct config { /* virtio 1.2, 5.1.4 */
	uint8_t mac[NET_MAC];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
static_assert(sizeof(struct config) == CONFIG_SIZE, "virtio 1.2, 5.1.4");

static struct net *net_of(const struct vdev *dev)
{
	return container_of(dev, struct net, vdev);
}

/* --- the class ------------------------------------------------------------------ */

static uint64_t net_features(const struct vdev *dev)
{
	const struct net *net = net_of(dev);
	uint64_t f = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
		     NET_F_MRG_RXBUF | net->backend->class->offloads;

	if (net->has_mac)
		f |= NET_F_MAC;
	if (net->mtu > 0)
		f |= NET_F_MTU;
	if (net->backend->class->knows_link)
		f |= NET_F_STATUS;
	return f;
}

static void net_config(const struct vdev *dev, void *buf)
{
	const struct net *net = net_of(dev);
	struct config c = { .mtu = net->mtu };

	memcpy(c.mac, net->mac, NET_MAC);
	if (net->backend->class->knows_link && !net->backend->down)
		c.status = LINK_UP;
	memcpy(buf, &c, sizeof(c));
}

/* On a vCPU thread: what there is to do is the loop's. */
static int net_activate(struct vdev *dev)
{
	net_of(dev)->begun = false;
	fd_event_signal(vdev_kick_fd(dev, NET_RX));
	return 0;
}

/* The driver is there, or again: the back end learns what it has chosen. */
static bool begin(struct net *net)
{
	struct net_backend *b = net->backend;
	int r;

	if (net->begun)
		return true;
	b->loop = net->vdev.loop;
	r = b->class->begin(b, net->vdev.acked, !net->restored);
	if (r < 0) {
		vdev_fail(&net->vdev, "%s: %s", b->class->name, strerror(-r));
		return false;
	}
	net->restored = false;
	net->begun = true;
	return true;
}

static void net_kick(struct vdev *dev, unsigned queue)
{
	struct net *net = net_of(dev);

	if (!begin(net))
		return;
	if (queue == NET_RX) {
		counter_inc(&net->metrics.rx_queue_event_count);
		net_rx_run(net);
	} else {
		counter_inc(&net->metrics.tx_queue_event_count);
		net_tx_run(net);
	}
}

/* On a vCPU thread, so the loop's watches and timers stay; they find nothing to do. */
static void net_reset(struct vdev *dev)
{
	struct net *net = net_of(dev);

	net->begun = false;
	net_rx_forget(net);
}

/* Nothing is in flight; but a descriptor that is not read must not wake the loop. */
static void net_quiesce(struct vdev *dev)
{
	net_backend_watch(net_of(dev)->backend, 0);
}

static void net_resume(struct vdev *dev)
{
	const struct net *net = net_of(dev);

	/* Drivers ask for the link when they are told to, and it may be another than was saved. */
	if (net->restored && net->backend->class->knows_link)
		vdev_config_changed(dev);
	fd_event_signal(vdev_kick_fd(dev, NET_RX));
	fd_event_signal(vdev_kick_fd(dev, NET_TX));
}

static void net_save(const struct vdev *dev, struct state_out *out)
{
	vdev_limit_save(&net_of(dev)->rx.limit, out);
	vdev_limit_save(&net_of(dev)->tx.limit, out);
}

static int net_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	struct net *net = net_of(dev);

	vdev_limit_load(&net->rx.limit, in);
	vdev_limit_load(&net->tx.limit, in);
	if (in->missing)
		return err_set(e, ERR_INVALID, -EINVAL, "%s: saved state is damaged",
			       vdev_name(dev));
	net->restored = true;
	return 0;
}

static void net_destroy(struct vdev *dev)
{
	struct net *net = net_of(dev);

	metrics_remove(&net->group);
	net_rx_fini(net);
	vdev_limit_fini(&net->tx.limit);
	net->backend->class->destroy(net->backend);
	free(net);
}

static const char *const metrics_names[] = { NET_METRICS(METRICS_NAME) "tap_write_agg" };

const struct metrics_shape net_metrics_shape = METRICS_SHAPE("net", metrics_names,
							     struct net_metrics);

static const struct vdev_class net_class = {
	.id = VIRTIO_ID_NET,
	.nqueues = 2,
	.queue_max = VIRTQ_MAX_SIZE,
	.config_size = CONFIG_SIZE,
	.features = net_features,
	.config = net_config,
	.activate = net_activate,
	.kick = net_kick,
	.reset = net_reset,
	.quiesce = net_quiesce,
	.resume = net_resume,
	.save = net_save,
	.load = net_load,
	.destroy = net_destroy,
};

/* --- for the back end -------------------------------------------------------------- */

void net_lock(struct net_backend *b)
{
	vdev_lock(&b->net->vdev);
}

void net_unlock(struct net_backend *b)
{
	vdev_unlock(&b->net->vdev);
}

void net_watch(struct net *net)
{
	net_backend_watch(net->backend,
			  (net->hears ? EPOLLIN : 0U) | (net->tx.blocked ? EPOLLOUT : 0U));
}

void net_on_ready(struct net_backend *b, uint32_t events)
{
	struct net *net = b->net;

	vdev_lock(&net->vdev);
	if (events & EPOLLIN)
		counter_inc(&net->metrics.rx_tap_event_count);
	if (events & (EPOLLERR | EPOLLHUP))
		b->class->broken(b);
	/* Of what has ended nobody will say that it can be written. */
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
		net->tx.blocked = b->class->flush && b->class->flush(b) == -EAGAIN;
		net_tx_run(net);
	}
	if (events & EPOLLIN)
		net_rx_run(net);
	vdev_unlock(&net->vdev);
}

void net_on_link(struct net_backend *b, bool up)
{
	struct net *net = b->net;

	b->down = !up;
	event_emit(up ? "backend-returned" : "backend-lost", "device", vdev_name(&net->vdev), NULL);
	vdev_config_changed(&net->vdev);
	/* What waited for the old connection need not wait any more. */
	net->tx.blocked = false;
	fd_event_signal(vdev_kick_fd(&net->vdev, NET_RX));
	fd_event_signal(vdev_kick_fd(&net->vdev, NET_TX));
}

/* --- for the machine ---------------------------------------------------------------- */

int net_create(const struct net_cfg *cfg, struct vdev **ret, struct err *e)
{
	autofree struct net *net = FAULT(-ENOMEM) ? NULL : calloc(1, sizeof(*net));
	char name[sizeof(net->vdev.name)];
	struct vdev_counters count;
	int r;

	if (!net)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "net `%s': no memory", cfg->id);
	snprintf(name, sizeof(name), "net `%s'", cfg->id);
	count = (struct vdev_counters){
		.activate_fails = &net->metrics.activate_fails,
		.cfg_fails = &net->metrics.cfg_fails,
		.event_fails = &net->metrics.event_fails,
	};
	net->has_mac = cfg->has_mac;
	memcpy(net->mac, cfg->mac, NET_MAC);
	net->mtu = cfg->mtu;
	net->backend = cfg->backend;
	snprintf(net->id, sizeof(net->id), "%s", cfg->id);
	net->group = (struct metrics_group){ .shape = &net_metrics_shape,
					     .id = net->id,
					     .counters = &net->metrics };
	r = metrics_add(&net->group);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: no memory for metrics", name);
	r = vdev_init(&net->vdev, &net_class, &count, name, e);
	if (r < 0) {
		metrics_remove(&net->group);
		return r;
	}
	net->backend->net = net;
	net_rx_init(net);
	vdev_limit_init(&net->tx.limit, &net->vdev, NET_TX, &net->metrics.tx_rate_limiter_throttled,
			&net->metrics.tx_rate_limiter_event_count);
	*ret = &take_ptr(&net)->vdev;
	return 0;
}

void net_set_rx_limits(struct vdev *dev, const struct rate_cfg *bandwidth,
		       const struct rate_cfg *ops)
{
	vdev_limit_set(&net_of(dev)->rx.limit, bandwidth, ops);
}

void net_set_tx_limits(struct vdev *dev, const struct rate_cfg *bandwidth,
		       const struct rate_cfg *ops)
{
	vdev_limit_set(&net_of(dev)->tx.limit, bandwidth, ops);
}

void net_set_detour(struct vdev *dev, struct net_detour *d)
{
	net_of(dev)->detour = d;
}

const struct net_metrics *net_metrics(const struct vdev *dev)
{
	return &net_of(dev)->metrics;
}
