/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: what is sent follows from where snd_nxt stands, and nothing else:
 * before out_seq it is the SYN, then come the answer's bytes, then the FIN. A timeout
 * puts snd_nxt back to snd_una, and everything from there goes again.
 */
#include "mmds/tcp.h"

#include <string.h>

static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Where the answer ends, and the FIN stands. */
static uint32_t out_end(const struct tcp_conn *c)
{
	return c->out_seq + (uint32_t)c->out_len;
}

static bool is_deaf(const struct tcp_conn *c)
{
	return c->closing || c->fin_received;
}

static uint16_t window(const struct tcp_conn *c)
{
	return is_deaf(c) ? TCP_RX_MAX : (uint16_t)(TCP_RX_MAX - c->rx_len);
}

void tcp_open(struct tcp_conn *c, const struct frame_segment *syn, uint32_t isn, usec_t now)
{
	uint16_t mss = syn->mss ? syn->mss : TCP_MSS_DEFAULT;

	memset(c, 0, offsetof(struct tcp_conn, rx));
	c->state = TCP_OPENING;
	c->rcv_nxt = syn->seq + 1;
	c->snd_una = c->snd_nxt = c->snd_max = isn;
	c->out_seq = isn + 1;
	c->snd_wnd = syn->window;
	c->mss = mss < TCP_MSS_MIN ? TCP_MSS_MIN : mss > TCP_MSS ? TCP_MSS : mss;
	c->rto = TCP_RTO_MS * USEC_PER_MSEC;
	c->heard = now;
}

/* --- receiving ------------------------------------------------------------------ */

/* Something new was acknowledged: patience begins anew. */
static void restart_timer(struct tcp_conn *c, usec_t now)
{
	c->tries = 0;
	c->rto = TCP_RTO_MS * USEC_PER_MSEC;
	c->rto_due = c->snd_una == c->snd_max ? 0 : now + c->rto;
}

static enum tcp_event take_ack(struct tcp_conn *c, const struct frame_segment *s, usec_t now)
{
	bool opens = c->snd_wnd == 0 && s->window > 0;

	if (is_before(s->ack, c->snd_una)) /* an old one */
		return TCP_NOTHING;
	c->snd_wnd = s->window;
	if (opens) { /* what was sent into a closed window is lost */
		c->snd_nxt = s->ack;
		c->rto_due = 0;
	}
	if (s->ack == c->snd_una)
		return TCP_NOTHING;
	c->snd_una = s->ack;
	if (is_before(c->snd_nxt, s->ack))
		c->snd_nxt = s->ack;
	restart_timer(c, now);
	if (c->closing && s->ack == out_end(c) + 1)
		c->fin_acked = true;
	if (c->out_len == 0 || is_before(s->ack, out_end(c)))
		return TCP_NOTHING;
	c->out_seq = out_end(c);
	c->out_len = 0;
	return TCP_ANSWERED;
}

/* Bytes of the peer, and its FIN behind them. */
static void take_data(struct tcp_conn *c, const struct frame_segment *s)
{
	uint32_t skip = c->rcv_nxt - s->seq; /* that are here already */
	size_t fresh = s->len - skip;
	size_t room = window(c);
	size_t n = fresh < room ? fresh : room;

	if (!is_deaf(c)) {
		memcpy(c->rx + c->rx_len, s->data + skip, n);
		c->rx_len += n;
	}
	if (c->fin_received) /* there is nothing behind a FIN */
		n = 0;
	c->rcv_nxt += (uint32_t)n;
	if (s->flags & FRAME_FIN && n == fresh && !c->fin_received) {
		c->fin_received = true;
		c->rcv_nxt++;
	}
	c->ack_due = true;
}

/* A handshake that has lost a part, or somebody who guesses. */
static enum tcp_event take_syn(struct tcp_conn *c, const struct frame_segment *s)
{
	if (c->state == TCP_OPENING && s->seq + 1 == c->rcv_nxt)
		c->snd_nxt = c->snd_una; /* the SYN goes again */
	else
		c->ack_due = true; /* RFC 5961, 4 */
	return TCP_DROPPED;
}

static enum tcp_event take_rst(struct tcp_conn *c, const struct frame_segment *s)
{
	if (s->seq == c->rcv_nxt) {
		c->state = TCP_FREE;
		return TCP_RESET;
	}
	if (!is_before(s->seq, c->rcv_nxt) && s->seq - c->rcv_nxt < window(c))
		c->ack_due = true; /* RFC 5961, 3 */
	return TCP_DROPPED;
}

enum tcp_event tcp_receive(struct tcp_conn *c, const struct frame_segment *s, usec_t now)
{
	bool fin = s->flags & FRAME_FIN;
	enum tcp_event event;

	c->heard = now;
	if (s->flags & FRAME_RST)
		return take_rst(c, s);
	if (s->flags & FRAME_SYN)
		return take_syn(c, s);
	if (!(s->flags & FRAME_ACK))
		return TCP_DROPPED;
	if (c->state == TCP_OPENING) {
		if (s->ack != c->out_seq || c->snd_max != c->out_seq) {
			c->state = TCP_FREE;
			return TCP_REFUSED;
		}
		c->state = TCP_OPEN;
	} else if (is_before(c->snd_max, s->ack)) {
		c->ack_due = true; /* RFC 9293, 3.10.7.4: it acknowledges what was not sent */
		return TCP_DROPPED;
	}
	event = take_ack(c, s, now);
	if (s->len == 0 && !fin && s->seq == c->rcv_nxt)
		return event;
	/* A hole before it, or all of it old: say where we are. */
	if (is_before(c->rcv_nxt, s->seq) || c->rcv_nxt - s->seq > s->len ||
	    (c->rcv_nxt - s->seq == s->len && !fin)) {
		c->ack_due = true;
		return event == TCP_ANSWERED ? event : TCP_DROPPED;
	}
	take_data(c, s);
	return event;
}

void tcp_consume(struct tcp_conn *c, size_t len)
{
	assert(len <= c->rx_len);
	/* Of a window that was closed the peer would not hear otherwise. */
	c->ack_due |= c->rx_len == TCP_RX_MAX;
	c->rx_len -= len;
	memmove(c->rx, c->rx + len, c->rx_len);
}

/* --- sending -------------------------------------------------------------------- */

void tcp_send(struct tcp_conn *c, size_t len)
{
	assert(len > 0 && c->out_len == 0 && !c->closing);
	c->out_len = len;
}

void tcp_close(struct tcp_conn *c)
{
	c->closing = true;
	c->rx_len = 0;
}

/* The segment that stands at snd_nxt, without data. */
static void begin(const struct tcp_conn *c, struct tcp_out *out, uint8_t flags)
{
	*out = (struct tcp_out){
		.segment = { .seq = c->snd_nxt,
			     .ack = c->rcv_nxt,
			     .window = window(c),
			     .flags = flags },
	};
}

/* It takes `n' numbers of the sequence and wants to be acknowledged. */
static bool sent(struct tcp_conn *c, uint32_t n, usec_t now)
{
	c->snd_nxt += n;
	if (is_before(c->snd_max, c->snd_nxt))
		c->snd_max = c->snd_nxt;
	if (c->rto_due == 0)
		c->rto_due = now + c->rto;
	c->ack_due = false;
	return true;
}

static bool send_data(struct tcp_conn *c, size_t room, usec_t now, struct tcp_out *out)
{
	uint32_t from = c->snd_nxt - c->out_seq, left = (uint32_t)c->out_len - from;
	uint32_t in_flight = c->snd_nxt - c->snd_una;
	uint32_t open = in_flight < c->snd_wnd ? c->snd_wnd - in_flight : 0;
	uint32_t n;

	if (open == 0 && c->probe)
		open = 1;
	n = smaller(smaller(left, open), smaller(c->mss, (uint32_t)room));
	if (n == 0) {
		if (c->rto_due == 0) /* the window may open unheard: ask */
			c->rto_due = now + c->rto;
		return false;
	}
	c->probe = false;
	begin(c, out, n == left ? FRAME_ACK | FRAME_PSH : FRAME_ACK);
	out->segment.len = n;
	out->from = from;
	return sent(c, n, now);
}

/* Goes back to what was not acknowledged; false when that was done often enough. */
static bool try_again(struct tcp_conn *c, usec_t now)
{
	usec_t max = TCP_RTO_MAX_MS * USEC_PER_MSEC;

	if (++c->tries > TCP_TRIES_MAX)
		return false;
	c->snd_nxt = c->snd_una;
	c->probe = true;
	c->rto = c->rto * 2 < max ? c->rto * 2 : max;
	c->rto_due = now + c->rto;
	return true;
}

static bool has_lingered(const struct tcp_conn *c, usec_t now)
{
	return c->fin_acked && !c->fin_received && now >= c->heard + TCP_LINGER_MS * USEC_PER_MSEC;
}

bool tcp_next(struct tcp_conn *c, size_t room, usec_t now, struct tcp_out *out)
{
	bool late = c->rto_due != 0 && now >= c->rto_due;

	if ((late && !try_again(c, now)) || has_lingered(c, now)) {
		c->snd_nxt = c->snd_max;
		begin(c, out, FRAME_RST | FRAME_ACK);
		out->last = true;
		c->state = TCP_FREE;
		return true;
	}
	if (is_before(c->snd_nxt, c->out_seq)) {
		begin(c, out, FRAME_SYN | FRAME_ACK);
		out->segment.mss = TCP_MSS;
		return sent(c, 1, now);
	}
	if (c->state == TCP_OPEN && is_before(c->snd_nxt, out_end(c)) &&
	    send_data(c, room, now, out))
		return true;
	if (c->closing && c->snd_nxt == out_end(c) && !c->fin_acked) {
		begin(c, out, FRAME_FIN | FRAME_ACK);
		return sent(c, 1, now);
	}
	if (!c->ack_due)
		return false;
	begin(c, out, FRAME_ACK);
	c->ack_due = false;
	return true;
}

bool tcp_is_done(const struct tcp_conn *c)
{
	return c->fin_acked && c->fin_received && !c->ack_due;
}

usec_t tcp_due(const struct tcp_conn *c)
{
	if (c->state == TCP_FREE)
		return 0;
	if (c->fin_acked && !c->fin_received)
		return c->heard + TCP_LINGER_MS * USEC_PER_MSEC;
	return c->rto_due;
}
