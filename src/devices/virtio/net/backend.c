/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/net/backend.h"

static void on_ready(struct loop_src *src, uint32_t events)
{
	net_on_ready(container_of(src, struct net_backend, src), events);
}

void net_backend_init(struct net_backend *b, const struct net_backend_class *class, int fd)
{
	*b = (struct net_backend){ .class = class, .src = { .fd = fd, .fn = on_ready } };
}

int net_backend_attach(struct net_backend *b)
{
	if (b->src.added)
		return 0;
	b->src.events = 0;
	return loop_add(b->loop, &b->src);
}

void net_backend_watch(struct net_backend *b, uint32_t events)
{
	if (b->src.added)
		loop_modify(b->loop, &b->src, events);
}

void net_backend_detach(struct net_backend *b)
{
	if (b->loop)
		loop_remove(b->loop, &b->src);
}
