/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mmds_nets.h"

#include "base/fd.h"

static struct mmds_net *net_of(struct net_detour *d)
{
	return container_of(d, struct mmds_net, detour);
}

static bool wants(struct net_detour *d, const uint8_t *head, size_t len)
{
	return mmds_nic_wants(net_of(d)->nic, head, len);
}

static void take(struct net_detour *d, const uint8_t *frame, size_t len)
{
	mmds_nic_take(net_of(d)->nic, frame, len, clock_monotonic());
}

/* Asked until there is nothing: then is the time to see when there will be. */
static size_t give(struct net_detour *d, uint8_t *frame, size_t cap)
{
	struct mmds_net *net = net_of(d);
	size_t len = mmds_nic_give(net->nic, frame, cap, clock_monotonic());
	usec_t due = len > 0 ? 0 : mmds_nic_due(net->nic);

	if (due > 0)
		loop_timer_set(net->loop, &net->timer, due);
	else if (len == 0)
		loop_timer_cancel(net->loop, &net->timer);
	return len;
}

static void on_timer(struct loop_timer *timer)
{
	struct mmds_net *net = container_of(timer, struct mmds_net, timer);

	fd_event_signal(vdev_kick_fd(net->dev, NET_RX));
}

int mmds_nets_add(struct mmds_nets *nets, struct mmds *mmds, uint32_t ip, struct vdev *dev,
		  struct loop *loop, struct err *e)
{
	struct mmds_net *net = &nets->net[nets->n];
	int r;

	assert(nets->n < ARRAY_SIZE(nets->net));
	r = mmds_nic_create(mmds, ip, &net->nic, e);
	if (r < 0)
		return r;
	nets->n++;
	net->detour = (struct net_detour){ .wants = wants, .take = take, .give = give };
	net->dev = dev;
	net->loop = loop;
	net->timer = (struct loop_timer){ .fn = on_timer };
	net_set_detour(dev, &net->detour);
	return 0;
}

void mmds_nets_fini(struct mmds_nets *nets)
{
	while (nets->n > 0) {
		struct mmds_net *net = &nets->net[--nets->n];

		loop_timer_cancel(net->loop, &net->timer);
		mmds_nic_destroy(net->nic);
	}
}
