/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/nets.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "devices/virtio/net/net.h"
#include "devices/virtio/net/passt.h"
#include "devices/virtio/net/tap.h"
#include "vmm/limits.h"

static_assert((int)CONF_MAC == (int)NET_MAC && (int)CONF_MTU_MIN == (int)NET_MTU_MIN,
	      "the configuration and the device mean the same");

static int adopt(const struct conf_net *conf, const struct handed *handed, int *ret_fd,
		 struct err *e)
{
	int r, given = handed ? handed_find(handed, conf->host_dev_fd) : -1;
	autoclose int fd = given < 0 ? -1 : fcntl(given, F_DUPFD_CLOEXEC, 0);

	if (given < 0)
		return err_set(e, ERR_INVALID, -ENOENT,
			       "host_dev_fd: no descriptor `%s' was handed over (--fd NAME=N, or "
			       "to --fd-sock)",
			       conf->host_dev_fd);
	if (fd < 0)
		return err_set(e, ERR_INTERNAL, -errno, "host_dev_fd `%s': %s", conf->host_dev_fd,
			       strerror(errno));
	r = net_tap_adopt(fd, e);
	if (r < 0)
		return err_wrap(e, "host_dev_fd `%s'", conf->host_dev_fd);
	*ret_fd = take_fd(&fd);
	return 0;
}

int nets_open(const struct conf_net *conf, const struct handed *handed, int *ret_fd, struct err *e)
{
	switch (conf_net_kind(conf)) {
	case CONF_NET_FD:
		return adopt(conf, handed, ret_fd, e);
	case CONF_NET_SOCKET:
		return net_passt_open(conf->socket_path, ret_fd, e);
	case CONF_NET_TAP:
		break;
	}
	return net_tap_open(conf->host_dev_name, ret_fd, e);
}

/*
 * Nothing stays in the ring between two batches, so one serves all taps: it costs memory
 * and time at the start once. The drives' will not do: their requests stay in it for long,
 * and who ends a batch waits for all that is there.
 */
static void use_ring(struct nets *nets, const struct conf_net *conf, struct net_backend *tap)
{
	const struct uring_cfg cfg = { .depth = NET_BATCH, .chains = true };
	int r = net_tap_never_waits(tap->src.fd) ? 0 : -EOPNOTSUPP;
	struct err e;

	if (r == 0 && !nets->ring)
		r = uring_create(&cfg, NULL, &nets->ring, &e);
	if (r == 0)
		net_tap_set_ring(tap, nets->ring);
	else
		log_debug("interface `%s': frames are sent one by one, not through io_uring: %s",
			  conf->iface_id, strerror(-r));
}

/* Takes *fd over on success. */
static int make_backend(struct nets *nets, const struct conf_net *conf, int *fd,
			struct net_backend **ret, struct err *e)
{
	int r;

	if (conf_net_kind(conf) == CONF_NET_SOCKET)
		r = net_passt_create(*fd, conf->socket_path, ret, e);
	else
		r = net_tap_create(*fd, ret, e);
	if (r < 0)
		return r;
	(void)take_fd(fd);
	if (conf_net_kind(conf) != CONF_NET_SOCKET)
		use_ring(nets, conf, *ret);
	return 0;
}

int nets_create(struct nets *nets, const struct conf_net *conf, int fd, struct vdev **ret_dev,
		struct err *e)
{
	autoclose int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct net_cfg cfg = {
		.id = conf->iface_id,
		.has_mac = conf->has_guest_mac,
		.mtu = conf->has_mtu ? conf->mtu : 0,
	};
	int r;

	if (own < 0)
		return err_set(e, ERR_INTERNAL, -errno, "interface `%s': %s", conf->iface_id,
			       strerror(errno));
	memcpy(cfg.mac, conf->mac, sizeof(cfg.mac));
	r = make_backend(nets, conf, &own, &cfg.backend, e);
	if (r < 0)
		return err_wrap(e, "interface `%s'", conf->iface_id);
	r = net_create(&cfg, ret_dev, e);
	if (r < 0) {
		cfg.backend->class->destroy(cfg.backend);
		return r;
	}
	nets_set_limits(*ret_dev, &conf->rx_rate_limiter, &conf->tx_rate_limiter);
	nets->net[nets->n].id = conf->iface_id;
	nets->net[nets->n++].dev = *ret_dev;
	return 0;
}

void nets_fini(struct nets *nets)
{
	uring_destroy(nets->ring);
	*nets = (struct nets){ 0 };
}

struct vdev *nets_find(const struct nets *nets, const char *id)
{
	for (unsigned i = 0; i < nets->n; i++)
		if (strcmp(nets->net[i].id, id) == 0)
			return nets->net[i].dev;
	return NULL;
}

void nets_set_limits(struct vdev *dev, const struct conf_rate_limiter *rx,
		     const struct conf_rate_limiter *tx)
{
	limit_device(dev, net_set_rx_limits, rx);
	limit_device(dev, net_set_tx_limits, tx);
}
