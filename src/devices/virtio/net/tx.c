/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmitting: chains of the driver to the back end, in order and one at a time. A
 * chain that cannot go now is given back to the ring, so that whatever the queue waits
 * for, nothing is in flight and nothing newer can pass it.
 */
#include <string.h>

#include "base/log.h"
#include "devices/virtio/net/device.h"

enum { MAC_SOURCE = 6 }; /* offset in an Ethernet header */

static struct virtq *queue_of(struct net *net)
{
	return &net->vdev.queue[NET_TX].q;
}

/* The detour has it. */
static void take(struct net *net, const struct virtq_chain *c)
{
	size_t len = c->out_len - NET_HDR;

	if (virtq_chain_read(c, NET_HDR, net->tx.frame, len) < 0)
		return;
	virtq_fill(queue_of(net), c, 0);
	net->detour->take(net->detour, net->tx.frame, len);
	net_rx_from_detour(net);
}

static enum vdev_next send(struct net *net, const struct virtq_chain *c)
{
	struct net_metrics *m = &net->metrics;
	usec_t begun;
	int r;

	if (!vdev_limit_take(&net->tx.limit, c->out_len - NET_HDR)) {
		virtq_unpop(queue_of(net), c);
		return VDEV_LATER;
	}
	begun = clock_monotonic();
	r = net->backend->class->send(net->backend, c->iov, c->nout, c->out_len);
	if (r == -EAGAIN) {
		virtq_unpop(queue_of(net), c);
		vdev_limit_give_back(&net->tx.limit, c->out_len - NET_HDR);
		net->tx.blocked = true;
		return VDEV_LATER;
	}
	virtq_fill(queue_of(net), c, 0);
	if (r < 0) {
		counter_inc(&m->tap_write_fails);
		counter_inc(&m->tx_fails);
		if (!net->backend->down)
			log_guest(LOG_WARN, "%s: cannot send: %s", vdev_name(&net->vdev),
				  strerror(-r));
		return VDEV_AGAIN;
	}
	counter_inc(&m->tx_count);
	latency_record(&m->tap_write_agg, clock_monotonic() - begun);
	net->tx.blocked = r > 0;
	return VDEV_AGAIN;
}

/* One chain, if there is one; what comes after it. */
static enum vdev_next serve_one(struct net *net)
{
	struct virtq_chain c = { .iov = net->tx.iov, .cap = ARRAY_SIZE(net->tx.iov) };
	struct net_metrics *m = &net->metrics;
	enum vdev_next next = VDEV_AGAIN;
	uint8_t head[NET_HEAD];
	size_t len;
	bool ours;

	if (vdev_pop(&net->vdev, NET_TX, &c) == 0)
		return VDEV_ON_KICK;
	if (c.nin > 0 || c.out_len < NET_FRAME_MIN || c.out_len > NET_FRAME_MAX) {
		counter_inc(&m->tx_malformed_frames);
		virtq_fill(queue_of(net), &c, 0);
		return VDEV_AGAIN;
	}
	len = (size_t)c.out_len - NET_HDR;
	if (len > (net->detour ? sizeof(head) : NET_ETH))
		len = net->detour ? sizeof(head) : NET_ETH;
	if (virtq_chain_read(&c, NET_HDR, head, len) < 0)
		return VDEV_AGAIN; /* cannot be: the length was looked at */
	ours = net->detour && net->detour->wants(net->detour, head, len);
	if (ours)
		take(net, &c);
	else
		next = send(net, &c);
	if (next != VDEV_AGAIN)
		return next;
	counter_inc(&m->tx_packets_count);
	counter_add(&m->tx_bytes_count, c.out_len - NET_HDR);
	if (net->has_mac && memcmp(head + MAC_SOURCE, net->mac, NET_MAC) != 0)
		counter_inc(&m->tx_spoofed_mac_count);
	return VDEV_AGAIN;
}

void net_tx_run(struct net *net)
{
	struct net_tx *tx = &net->tx;
	enum vdev_next next = VDEV_AGAIN;
	unsigned n;

	if (!net_runs(net)) {
		net_watch(net);
		return;
	}
	if (vdev_limit_waits(&tx->limit))
		next = VDEV_LATER;
	for (n = 0; n < VDEV_BUDGET && next == VDEV_AGAIN; n++)
		next = tx->blocked ? VDEV_LATER : serve_one(net);
	if (n == 1 && next == VDEV_ON_KICK)
		counter_inc(&net->metrics.no_tx_avail_buffer);
	if (next != VDEV_ON_KICK)
		counter_add(&net->metrics.tx_remaining_reqs_count, virtq_waiting(queue_of(net)));
	vdev_flush(&net->vdev, NET_TX, next);
	net_watch(net);
}
