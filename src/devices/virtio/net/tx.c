/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmitting: chains of the driver to the back end, in order. Frames are collected, and
 * sent by one call where the back end has one for many; each batch is done before anything
 * else happens. What cannot go now is given back to the ring, so that whatever
 * the queue waits for, nothing is in flight and nothing newer can pass it.
 */
#include <string.h>

#include "base/log.h"
#include "devices/virtio/net/device.h"

enum { MAC_SOURCE = 6 }; /* offset in an Ethernet header */

static struct virtq *queue_of(struct net *net)
{
	return &net->vdev.queue[NET_TX].q;
}

static void count_packet(struct net *net, uint64_t len, bool spoofed)
{
	counter_inc(&net->metrics.tx_packets_count);
	counter_add(&net->metrics.tx_bytes_count, len - NET_HDR);
	counter_add(&net->metrics.tx_spoofed_mac_count, spoofed);
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

/* --- frames to the back end ---------------------------------------------------------- */

static bool is_full(const struct net *net)
{
	return net->tx.n == NET_BATCH || ARRAY_SIZE(net->tx.iov) - net->tx.end < VIRTQ_IOV_MAX;
}

/* A chain that was popped last, behind those that are collected. */
static bool collect(struct net *net, const struct virtq_chain *c, bool spoofed)
{
	struct net_tx *tx = &net->tx;

	if (!vdev_limit_take(&tx->limit, c->out_len - NET_HDR))
		return false;
	tx->chain[tx->n] = *c;
	tx->spoofed[tx->n] = spoofed;
	tx->out[tx->n++] = (struct net_out){ .iov = c->iov, .n = c->nout, .len = c->out_len };
	tx->end += c->nout;
	return true;
}

/* The back end has a frame, or will never have it. */
static void finish(struct net *net, unsigned i)
{
	struct net_metrics *m = &net->metrics;
	int r = net->tx.out[i].r;

	virtq_fill(queue_of(net), &net->tx.chain[i], 0);
	count_packet(net, net->tx.out[i].len, net->tx.spoofed[i]);
	if (r >= 0) {
		counter_inc(&m->tx_count);
		net->tx.blocked = r > 0;
		return;
	}
	counter_inc(&m->tap_write_fails);
	counter_inc(&m->tx_fails);
	if (!net->backend->down)
		log_guest(LOG_WARN, "%s: cannot send: %s", vdev_name(&net->vdev), strerror(-r));
}

/* Sends in order what is collected, until one has to wait: how many are finished. */
static unsigned send(struct net *net)
{
	const struct net_backend_class *class = net->backend->class;
	struct net_tx *tx = &net->tx;
	bool batch = net->backend->batches && tx->n > 1; /* one alone is no faster by it */
	unsigned i;

	if (batch)
		class->send_all(net->backend, tx->out, tx->n);
	for (i = 0; i < tx->n && !tx->blocked; i++) {
		struct net_out *o = &tx->out[i];

		/* What was left out behind one that is lost is not lost itself. */
		if (!batch || o->r == -ECANCELED)
			o->r = class->send(net->backend, o->iov, o->n, o->len);
		if (o->r == -EAGAIN) {
			tx->blocked = true;
			break;
		}
		finish(net, i);
	}
	return i;
}

/*
 * Nothing is collected afterwards: what cannot go now is given back, the newest first, as
 * if it had never been popped.
 */
static enum vdev_next send_collected(struct net *net)
{
	struct net_tx *tx = &net->tx;
	usec_t begun = clock_monotonic();
	unsigned done = send(net);

	if (done > 0)
		latency_record(&net->metrics.tap_write_agg, clock_monotonic() - begun);
	while (tx->n > done) {
		const struct virtq_chain *c = &tx->chain[--tx->n];

		virtq_unpop(queue_of(net), c);
		vdev_limit_give_back(&tx->limit, c->out_len - NET_HDR);
	}
	tx->n = tx->end = 0;
	return tx->blocked ? VDEV_LATER : VDEV_AGAIN;
}

/* --- the queue ------------------------------------------------------------------------ */

enum kind { FRAME, DETOUR, MALFORMED };

static enum kind kind_of(const struct net *net, const struct virtq_chain *c, uint8_t head[NET_HEAD])
{
	size_t len, most = net->detour ? NET_HEAD : NET_ETH;

	if (c->nin > 0 || c->out_len < NET_FRAME_MIN || c->out_len > NET_FRAME_MAX)
		return MALFORMED;
	len = c->out_len - NET_HDR;
	len = len < most ? len : most;
	if (virtq_chain_read(c, NET_HDR, head, len) < 0)
		return MALFORMED; /* cannot be: the length was looked at */
	return net->detour && net->detour->wants(net->detour, head, len) ? DETOUR : FRAME;
}

/* What no back end gets. */
static void keep(struct net *net, const struct virtq_chain *c, enum kind kind, bool spoofed)
{
	struct net_metrics *m = &net->metrics;

	if (kind == MALFORMED) {
		counter_inc(&m->tx_malformed_frames);
		virtq_fill(queue_of(net), c, 0);
		return;
	}
	take(net, c);
	count_packet(net, c->out_len, spoofed);
}

/* One chain, if there is one; what comes after it. */
static enum vdev_next serve_one(struct net *net)
{
	struct net_tx *tx = &net->tx;
	struct virtq_chain c = { .iov = tx->iov + tx->end, .cap = VIRTQ_IOV_MAX };
	uint8_t head[NET_HEAD];
	enum kind kind;
	bool spoofed;

	if (vdev_pop(&net->vdev, NET_TX, &c) == 0)
		return VDEV_ON_KICK;
	kind = kind_of(net, &c, head);
	if (kind != FRAME && tx->n > 0) {
		/* Filled now, it would be in the way of those that have to be given back. */
		virtq_unpop(queue_of(net), &c);
		return send_collected(net);
	}
	spoofed = kind != MALFORMED && net->has_mac &&
		  memcmp(head + MAC_SOURCE, net->mac, NET_MAC) != 0;
	if (kind != FRAME) {
		keep(net, &c, kind, spoofed);
		return VDEV_AGAIN;
	}
	if (!collect(net, &c, spoofed)) {
		virtq_unpop(queue_of(net), &c);
		return VDEV_LATER;
	}
	return is_full(net) ? send_collected(net) : VDEV_AGAIN;
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
	if (tx->n > 0 && send_collected(net) == VDEV_LATER)
		next = VDEV_LATER;
	if (n == 1 && next == VDEV_ON_KICK)
		counter_inc(&net->metrics.no_tx_avail_buffer);
	if (next != VDEV_ON_KICK)
		counter_add(&net->metrics.tx_remaining_reqs_count, virtq_waiting(queue_of(net)));
	vdev_flush(&net->vdev, NET_TX, next);
	net_watch(net);
}
