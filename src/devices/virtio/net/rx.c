/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: frames of the back end and of the detour into the guest's buffers.
 *
 * How long the next frame is, a tap does not say, and what does not fit is cut off. So
 * a frame is read into the buffers that are held and, behind them, into memory of our
 * own. With mergeable buffers so much is held as the largest frame of this run and of
 * the one before needed; only a frame larger than that has a tail in our memory, which
 * is copied into more buffers. Holding enough for any frame would cost 43 buffers of
 * Linux for each run, a run of one small frame too.
 *
 * A frame for which there are not enough buffers, or no tokens, is kept, and nothing is
 * read before it has been delivered. It is dropped when the whole ring does not hold it
 * or no buffers come for WAIT_MS: a driver may have given all that it ever will.
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/net/device.h"

enum {
	WANT_MIN = NET_HDR + NET_ETH + 1500,
	WAIT_MS = 1000,
	NUM_BUFFERS = 10, /* offset in the header: virtio 1.2, 5.1.6 */
};
static_assert(VIRTQ_IOV_MAX < IOV_MAX / 3, "a rewound array takes a chain and our own segment");

/* Why a run goes on or not. */
enum rx_state {
	RX_MORE,
	RX_EMPTY,   /* the back end has nothing */
	RX_NO_ROOM, /* the driver has no buffers, or not enough */
	RX_NO_TOKENS,
	RX_BROKEN, /* the back end cannot be read */
};

static struct virtq *queue_of(struct net *net)
{
	return &net->vdev.queue[NET_RX].q;
}

/* --- buffers ---------------------------------------------------------------- */

static void hold_none(struct net_rx *rx)
{
	rx->first = rx->n = rx->end = 0;
	rx->room = 0;
}

static void give_back(struct net *net)
{
	struct net_rx *rx = &net->rx;

	while (rx->n > rx->first)
		virtq_unpop(queue_of(net), &rx->held[--rx->n]);
	hold_none(rx);
}

static bool hold_one(struct net *net)
{
	struct net_rx *rx = &net->rx;
	struct virtq_chain *c = &rx->held[rx->n];

	/* One segment is always left for memory of our own. */
	if (rx->n == ARRAY_SIZE(rx->held) || rx->end + VIRTQ_IOV_MAX >= ARRAY_SIZE(rx->iov))
		return false;
	*c = (struct virtq_chain){ .iov = &rx->iov[rx->end], .cap = VIRTQ_IOV_MAX };
	if (vdev_pop(&net->vdev, NET_RX, c) == 0)
		return false;
	if (c->nout > 0 || c->in_len < NET_HDR) {
		virtq_unpop(queue_of(net), c);
		vdev_fail(&net->vdev, "a receive buffer is readable or smaller than the header");
		return false;
	}
	rx->n++;
	rx->end += c->nin;
	rx->room += c->in_len;
	return true;
}

static bool is_mergeable(const struct net *net)
{
	return net->vdev.acked & NET_F_MRG_RXBUF;
}

/*
 * Holds buffers of `want' bytes, or as many as there are; without mergeable buffers
 * one. Whether that is any.
 */
static bool hold(struct net *net, size_t want)
{
	struct net_rx *rx = &net->rx;

	if (!is_mergeable(net))
		want = 1;
	while (rx->room < want && hold_one(net))
		;
	return rx->n > rx->first;
}

/*
 * Starts at the front of the arrays when they near their end, so that there is room for
 * the tail of the next frame. Between two frames.
 */
static void rewind_held(struct net *net)
{
	struct net_rx *rx = &net->rx;

	if (rx->first == rx->n)
		hold_none(rx);
	else if (rx->end + 2 * VIRTQ_IOV_MAX >= ARRAY_SIZE(rx->iov))
		give_back(net);
}

/* --- frames ------------------------------------------------------------------- */

static unsigned buffers_for(const struct net_rx *rx, size_t len)
{
	unsigned i = rx->first;

	for (; len > rx->held[i].in_len; i++)
		len -= rx->held[i].in_len;
	return i - rx->first + 1;
}

/* The first `len' bytes of what is held are a frame: it is the driver's. */
static void deliver(struct net *net, size_t len)
{
	struct net_rx *rx = &net->rx;
	uint16_t nbuffers = (uint16_t)buffers_for(rx, len);
	struct virtq_chain *c = &rx->held[rx->first];

	counter_inc(&net->metrics.rx_packets_count);
	counter_add(&net->metrics.rx_bytes_count, len - NET_HDR);
	iov_copy_in(c->iov, c->nin, NUM_BUFFERS, &nbuffers, sizeof(nbuffers));
	for (unsigned i = 0; i < nbuffers; i++) {
		size_t part;

		c = &rx->held[rx->first++];
		part = c->in_len < len ? c->in_len : len;
		len -= part;
		rx->room -= c->in_len;
		virtq_fill(queue_of(net), c, (uint32_t)part);
	}
}

/* The segments of what is held, from the first. */
static struct iovec *held_iov(struct net_rx *rx, unsigned *ret_n)
{
	struct iovec *iov = rx->held[rx->first].iov;

	*ret_n = (unsigned)(&rx->iov[rx->end] - iov);
	return iov;
}

/* The frame stays with us: its first `in_buffers' bytes come back out of the buffers. */
static void keep(struct net *net, size_t len, size_t in_buffers)
{
	struct net_rx *rx = &net->rx;
	unsigned n;
	struct iovec *iov = held_iov(rx, &n);

	iov_copy_out(iov, n, 0, rx->late.buf, in_buffers);
	rx->late.len = len;
}

static void wait_a_while(struct net *net)
{
	struct net_rx *rx = &net->rx;

	if (!rx->timer.set)
		loop_timer_set(net->vdev.loop, &rx->timer,
			       clock_monotonic() + WAIT_MS * USEC_PER_MSEC);
}

static enum rx_state drop(struct net *net, struct net_kept *kept)
{
	kept->len = 0;
	counter_inc(&net->metrics.rx_fails);
	return RX_MORE;
}

/*
 * What does not fit into the buffers there are. More may come, unless they are the whole
 * ring, or so scattered that we cannot hold them all.
 */
static enum rx_state does_not_fit(struct net *net, struct net_kept *kept)
{
	struct virtq *q = queue_of(net);

	if (!is_mergeable(net) || q->inflight == q->cfg.size || virtq_waiting(q) > 0)
		return drop(net, kept);
	wait_a_while(net);
	return RX_NO_ROOM;
}

/* A frame that is in our memory is copied into buffers. */
static enum rx_state serve_kept(struct net *net, struct net_kept *kept)
{
	struct net_rx *rx = &net->rx;
	struct iovec *iov;
	unsigned n;

	if (!hold(net, kept->len))
		return RX_NO_ROOM;
	/* First, so that the timer knows what waits for buffers and not for tokens. */
	if (!kept->paid)
		kept->paid = vdev_limit_take(&rx->limit, kept->len - NET_HDR);
	if (!kept->paid)
		return RX_NO_TOKENS;
	if (rx->room < kept->len)
		return does_not_fit(net, kept);
	iov = held_iov(rx, &n);
	iov_copy_in(iov, n, 0, kept->buf, kept->len);
	deliver(net, kept->len);
	kept->len = 0;
	loop_timer_cancel(net->vdev.loop, &rx->timer);
	return RX_MORE;
}

/* RX_EMPTY: it has nothing, or there is none. */
static enum rx_state serve_detour(struct net *net)
{
	struct net_kept *given = &net->rx.given;

	if (!net->detour)
		return RX_EMPTY;
	if (given->len == 0) {
		size_t len;

		if (!hold(net, WANT_MIN))
			return RX_NO_ROOM;
		len = net->detour->give(net->detour, given->buf + NET_HDR, NET_FRAME_MAX - NET_HDR);
		if (len == 0)
			return RX_EMPTY;
		assert(len >= NET_ETH && len <= NET_FRAME_MAX - NET_HDR);
		memset(given->buf, 0, NET_HDR);
		given->len = NET_HDR + len;
		given->paid = true;
	}
	return serve_kept(net, given);
}

/* A frame that was read into what is held, `room' bytes, and what follows into `late'. */
static enum rx_state take(struct net *net, size_t len, uint64_t room)
{
	static const uint8_t no_offload[NET_HDR];
	struct net_rx *rx = &net->rx;
	size_t in_buffers = len < room ? len : (size_t)room;
	struct iovec *iov;
	unsigned n;

	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX || (len > room && !is_mergeable(net)))
		return drop(net, &rx->late);
	iov = held_iov(rx, &n);
	if (!net->backend->class->header)
		iov_copy_in(iov, n, 0, no_offload, sizeof(no_offload));
	rx->late.paid = vdev_limit_take(&rx->limit, len - NET_HDR);
	if (!rx->late.paid) {
		keep(net, len, in_buffers);
		return RX_NO_TOKENS;
	}
	if (len > room) {
		(void)hold(net, len);
		if (rx->room < len) {
			keep(net, len, in_buffers);
			return does_not_fit(net, &rx->late);
		}
		iov = held_iov(rx, &n);
		iov_copy_in(iov, n, room, rx->late.buf + room, len - room);
	}
	deliver(net, len);
	return RX_MORE;
}

static enum rx_state serve_backend(struct net *net)
{
	struct net_rx *rx = &net->rx;
	struct iovec *iov;
	ssize_t len;
	unsigned n;

	if (!hold(net, rx->want))
		return RX_NO_ROOM;
	iov = held_iov(rx, &n);
	if (rx->room <= NET_FRAME_MAX)
		iov[n++] = (struct iovec){ .iov_base = rx->late.buf + rx->room,
					   .iov_len = NET_FRAME_MAX + 1 - (size_t)rx->room };
	len = net->backend->class->recv(net->backend, iov, n);
	if (len == -EAGAIN)
		return RX_EMPTY;
	if (len < 0) {
		counter_inc(&net->metrics.tap_read_fails);
		log_guest(LOG_WARN, "%s: cannot receive: %s", vdev_name(&net->vdev),
			  strerror((int)-len));
		return RX_BROKEN;
	}
	counter_inc(&net->metrics.rx_count);
	if ((size_t)len > rx->largest)
		rx->largest = (size_t)len;
	if (rx->largest > rx->want)
		rx->want = rx->largest;
	return take(net, (size_t)len, rx->room);
}

static enum rx_state serve_one(struct net *net)
{
	struct net_rx *rx = &net->rx;
	enum rx_state state;

	rewind_held(net);
	state = serve_detour(net);
	if (state != RX_EMPTY)
		return state;
	if (vdev_limit_waits(&rx->limit))
		return RX_NO_TOKENS;
	return rx->late.len > 0 ? serve_kept(net, &rx->late) : serve_backend(net);
}

/* --- runs ----------------------------------------------------------------------- */

/* Whether the loop is to tell of frames, and the driver of buffers. */
static enum vdev_next after(struct net *net, enum rx_state state)
{
	net->hears = state == RX_MORE || state == RX_EMPTY;
	switch (state) {
	case RX_MORE: /* the budget is used up; a descriptor that stays readable says so again */
		return net->backend->class->level && !net->detour && net->rx.late.len == 0
			       ? VDEV_LATER
			       : VDEV_AGAIN;
	case RX_NO_ROOM:
		counter_inc(&net->metrics.no_rx_avail_buffer);
		return VDEV_ARM;
	case RX_BROKEN:
		wait_a_while(net);
		return VDEV_LATER;
	case RX_EMPTY:
	case RX_NO_TOKENS:
		break;
	}
	return VDEV_LATER;
}

/*
 * The ring is armed while what does not suffice is still held: asked for a kick before
 * those buffers, a driver would not kick for the ones behind them.
 */
static void end_run(struct net *net, enum vdev_next next)
{
	vdev_flush(&net->vdev, NET_RX, next);
	give_back(net);
}

void net_rx_run(struct net *net)
{
	struct net_rx *rx = &net->rx;
	enum rx_state state = RX_MORE;

	if (!net_runs(net)) {
		net->hears = false;
		net_watch(net);
		return;
	}
	for (unsigned n = 0; n < VDEV_BUDGET && state == RX_MORE; n++)
		state = serve_one(net);
	rx->want = rx->largest > WANT_MIN ? rx->largest : WANT_MIN;
	rx->largest = 0;
	end_run(net, after(net, state));
	net_watch(net);
}

void net_rx_from_detour(struct net *net)
{
	enum rx_state state = RX_MORE;

	for (unsigned n = 0; n < VDEV_BUDGET && state == RX_MORE; n++) {
		rewind_held(net);
		state = serve_detour(net);
	}
	/* Whatever the state: if it was not finished, the run of the queue will go on. */
	end_run(net, state == RX_EMPTY ? VDEV_LATER : VDEV_AGAIN);
}

/* Nobody came for the frame that waits; or the back end is to be tried again. */
static void on_timer(struct loop_timer *timer)
{
	struct net *net = container_of(timer, struct net, rx.timer);
	struct net_rx *rx = &net->rx;

	vdev_lock(&net->vdev);
	if (net_runs(net)) {
		if (rx->given.len > 0)
			drop(net, &rx->given);
		else if (rx->late.len > 0 && rx->late.paid)
			drop(net, &rx->late);
	}
	net_rx_run(net);
	vdev_unlock(&net->vdev);
}

void net_rx_forget(struct net *net)
{
	net->rx.late.len = net->rx.given.len = 0;
	net->rx.want = WANT_MIN;
	net->rx.largest = 0;
}

void net_rx_init(struct net *net)
{
	vdev_limit_init(&net->rx.limit, &net->vdev, NET_RX, &net->metrics.rx_rate_limiter_throttled,
			&net->metrics.rx_event_rate_limiter_count);
	net->rx.timer.fn = on_timer;
	net_rx_forget(net);
}

void net_rx_fini(struct net *net)
{
	vdev_limit_fini(&net->rx.limit);
	if (net->rx.timer.set)
		loop_timer_cancel(net->vdev.loop, &net->rx.timer);
}
