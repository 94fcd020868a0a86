/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side: packets from it, packets to it, and the one event. */
#include <string.h>

#include "base/log.h"
#include "devices/virtio/vsock/device.h"

#define EVENT_TRANSPORT_RESET UINT32_C(0) /* virtio 1.2, 5.10.6.7 */

static struct virtq *queue(struct vsock *v, enum vsock_queue n)
{
	return &v->vdev.queue[n].q;
}

/* The next chain of a queue, in the device's own array. */
static bool pop(struct vsock *v, enum vsock_queue n, struct virtq_chain *c)
{
	*c = (struct virtq_chain){ .iov = v->iov, .cap = ARRAY_SIZE(v->iov) };
	if (!v->active)
		return false;
	if (vdev_pop(&v->vdev, n, c) > 0)
		return true;
	if (v->vdev.status & VDEV_NEEDS_RESET)
		vsock_fail(v, n, NULL);
	return false;
}

static void refuse(struct vsock *v, enum vsock_queue n, const struct virtq_chain *c,
		   const char *why)
{
	virtq_unpop(queue(v, n), c);
	vsock_fail(v, n, why);
}

/* --- from the guest ------------------------------------------------------------------ */

static void answer_rst(struct vsock *v, const struct vsock_hdr *hdr)
{
	const struct vsock_rst rst = {
		.cid = hdr->dst_cid,
		.local = hdr->dst_port,
		.peer = hdr->src_port,
		.type = hdr->type,
	};

	if (hdr->op != VSOCK_OP_RST)
		vsock_mux_put_rst(&v->mux, &rst);
}

/* A REQUEST is of a guest that knows no connection of this name: nor do we any more. */
static void take_request(struct vsock *v, const struct vsock_hdr *hdr, struct vsock_conn *old)
{
	int r;

	if (old)
		vsock_mux_forget(&v->mux, old);
	r = vsock_connect(v, hdr);
	if (r < 0) {
		log_guest(LOG_DEBUG, "%s: no connection to %s_%u: %s", v->vdev.name, v->path,
			  hdr->dst_port, strerror(-r));
		answer_rst(v, hdr);
	}
}

static void take_packet(struct vsock *v, const struct vsock_hdr *hdr, bool whole,
			const struct virtq_chain *chain)
{
	struct vsock_conn *c = NULL;

	/* A name that is not the guest's: there is nobody to answer to. */
	if (hdr->src_cid != v->guest_cid) {
		log_guest(LOG_WARN, "%s: a packet from context id %llu, which is not the guest's",
			  v->vdev.name, (unsigned long long)hdr->src_cid);
		return;
	}
	if (hdr->dst_cid != VSOCK_CID_HOST || hdr->type != VSOCK_TYPE_STREAM) {
		answer_rst(v, hdr);
		return;
	}
	c = vsock_mux_find(&v->mux, hdr->dst_port, hdr->src_port);
	if (hdr->op == VSOCK_OP_REQUEST && whole) {
		take_request(v, hdr, c);
		return;
	}
	if (!c) {
		answer_rst(v, hdr);
		return;
	}
	if (whole)
		vsock_conn_from_guest(c, hdr, chain, &v->io);
	else
		vsock_conn_kill(c);
	vsock_mux_settle(&v->mux, c);
}

static enum vdev_next take_one(struct vsock *v)
{
	struct virtq_chain chain;
	struct vsock_hdr hdr;
	int r;

	/* Its answer would find no room: what is in the guest's queue has to wait there. */
	if (v->mux.nrsts == VSOCK_RSTS_MAX) {
		v->held = true;
		return VDEV_LATER;
	}
	if (!pop(v, VSOCK_TX, &chain))
		return VDEV_ON_KICK;
	r = vsock_hdr_read(&chain, &hdr);
	if (r < 0) {
		refuse(v, VSOCK_TX, &chain, "a packet has no header, or a writable part");
		return VDEV_ON_KICK;
	}
	take_packet(v, &hdr, r > 0, &chain);
	counter_inc(&v->metrics.tx_packets_count);
	if (r > 0 && hdr.op == VSOCK_OP_RW)
		counter_add(&v->metrics.tx_bytes_count, hdr.len);
	virtq_fill(queue(v, VSOCK_TX), &chain, 0);
	return VDEV_AGAIN;
}

void vsock_run_tx(struct vsock *v)
{
	enum vdev_next next = VDEV_AGAIN;

	v->held = false;
	for (unsigned n = 0; n < VDEV_BUDGET && next == VDEV_AGAIN; n++)
		next = take_one(v);
	vdev_flush(&v->vdev, VSOCK_TX, next);
}

/* --- to the guest --------------------------------------------------------------------- */

static uint32_t put_rst(struct vsock *v, const struct virtq_chain *chain)
{
	struct vsock_hdr hdr = { .dst_cid = v->guest_cid, .op = VSOCK_OP_RST };
	struct vsock_rst rst;

	if (!vsock_mux_take_rst(&v->mux, &rst))
		return 0;
	hdr.src_cid = rst.cid;
	hdr.src_port = rst.local;
	hdr.dst_port = rst.peer;
	hdr.type = rst.type;
	vsock_hdr_write(chain, &hdr);
	return VSOCK_HDR_SIZE;
}

static uint32_t put_packet(struct vsock *v, const struct virtq_chain *chain)
{
	struct vsock_conn *c;
	uint32_t written = put_rst(v, chain);

	if (written > 0)
		return written;
	c = vsock_mux_next(&v->mux);
	written = vsock_conn_to_guest(c, chain, &v->io);
	vsock_mux_settle(&v->mux, c);
	return written;
}

/* One packet, if there is one and a buffer for it; what comes after it. */
static enum vdev_next say_one(struct vsock *v)
{
	struct virtq_chain chain;
	uint32_t written;

	if (!vsock_mux_wants(&v->mux))
		return VDEV_LATER;
	if (!pop(v, VSOCK_RX, &chain))
		return VDEV_ON_KICK;
	if (!vsock_hdr_fits(&chain)) {
		refuse(v, VSOCK_RX, &chain, "a receive buffer is not writable, or too small");
		return VDEV_ON_KICK;
	}
	written = put_packet(v, &chain);
	if (written == 0) {
		virtq_unpop(queue(v, VSOCK_RX), &chain);
		return VDEV_AGAIN;
	}
	counter_inc(&v->metrics.rx_packets_count);
	counter_add(&v->metrics.rx_bytes_count, written - VSOCK_HDR_SIZE);
	virtq_fill(queue(v, VSOCK_RX), &chain, written);
	return VDEV_AGAIN;
}

void vsock_on_speak(struct loop_task *task)
{
	struct vsock *v = container_of(task, struct vsock, speak);
	enum vdev_next next = VDEV_AGAIN;

	vdev_lock(&v->vdev);
	vsock_enter(v);
	if (v->active && !v->paused && v->gate == VSOCK_GATE_OPEN) {
		for (unsigned n = 0; n < VDEV_BUDGET && next == VDEV_AGAIN; n++)
			next = say_one(v);
		vdev_flush(&v->vdev, VSOCK_RX, next);
		if (v->held && v->mux.nrsts < VSOCK_RSTS_MAX)
			vdev_flush(&v->vdev, VSOCK_TX, VDEV_AGAIN);
	}
	vsock_close_books(v);
	vdev_unlock(&v->vdev);
}

/* --- the event ------------------------------------------------------------------------- */

static void open_gate(struct vsock *v)
{
	v->gate = VSOCK_GATE_OPEN;
	loop_timer_cancel(v->loop, &v->doubt);
}

/*
 * The connections of whoever was saved end for this guest. Those that were begun since
 * do not: the guest has not been told of them.
 */
static void send_event(struct vsock *v)
{
	const uint32_t event = EVENT_TRANSPORT_RESET;
	struct virtq *q = queue(v, VSOCK_EVENT);
	struct virtq_chain chain;

	if (!pop(v, VSOCK_EVENT, &chain)) {
		vdev_flush(&v->vdev, VSOCK_EVENT, VDEV_ON_KICK);
		return;
	}
	if (chain.out_len > 0 || virtq_chain_write(&chain, 0, &event, sizeof(event)) < 0) {
		refuse(v, VSOCK_EVENT, &chain, "an event buffer is not writable, or too small");
		return;
	}
	/* Before the guest can see the event: what it adds from now on is its answer. */
	v->gate_idx = virtq_arm_next(q);
	v->gate = VSOCK_GATE_SENT;
	virtq_fill(q, &chain, sizeof(event));
	vdev_flush(&v->vdev, VSOCK_EVENT, VDEV_LATER);
}

void vsock_run_event(struct vsock *v)
{
	if (v->gate == VSOCK_GATE_DUE)
		send_event(v);
	else if (v->gate == VSOCK_GATE_SENT && virtq_arm_next(queue(v, VSOCK_EVENT)) != v->gate_idx)
		open_gate(v);
}

/* A driver that never gives a buffer back must not be deaf for ever. */
void vsock_on_doubt(struct loop_timer *timer)
{
	struct vsock *v = container_of(timer, struct vsock, doubt);

	vdev_lock(&v->vdev);
	vsock_enter(v);
	if (v->gate != VSOCK_GATE_OPEN) {
		log_guest(LOG_WARN,
			  "%s: the guest has not answered that its connections were reset",
			  v->vdev.name);
		open_gate(v);
	}
	vsock_leave(v);
	vdev_unlock(&v->vdev);
}
