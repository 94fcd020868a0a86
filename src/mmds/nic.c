/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/nic.h"

#include <string.h>

#include "base/fault.h"
#include "mmds/fragments.h"
#include "mmds/frame.h"
#include "mmds/service.h"
#include "mmds/tcp.h"

enum { PORT = 80 };

struct conn {
	struct tcp_conn tcp; /* TCP_FREE: the place is free */
	struct frame_peer peer;
	struct mmds_reply reply; /* what tcp sends */
};

struct reset { /* of a segment that belongs to no connection */
	struct frame_peer peer;
	uint16_t port; /* where it was sent to */
	uint32_t seq, ack;
	uint8_t flags;
};

struct mmds_nic {
	struct mmds *mmds; /* the caller's */
	uint32_t ip;
	bool arp_asked;
	struct frame_peer arp_peer;
	unsigned first_reset, nresets; /* a ring */
	unsigned next_conn;	       /* whose turn it is to send */
	uint64_t opened;
	struct fragments fragments;
	struct reset resets[MMDS_RESETS_MAX];
	struct conn conns[MMDS_CONNS_MAX];
};

int mmds_nic_create(struct mmds *mmds, uint32_t ip, struct mmds_nic **ret_nic, struct err *e)
{
	struct mmds_nic *nic = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*nic));

	if (!nic)
		return err_set(e, ERR_INTERNAL, -ENOMEM,
			       "metadata service of an interface: out of memory");
	nic->mmds = mmds;
	nic->ip = ip;
	*ret_nic = nic;
	return 0;
}

void mmds_nic_destroy(struct mmds_nic *nic)
{
	if (!nic)
		return;
	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++)
		mmds_reply_fini(&nic->conns[i].reply);
	free(nic);
}

bool mmds_nic_wants(const struct mmds_nic *nic, const uint8_t *head, size_t len)
{
	return frame_is_for(head, len, nic->ip);
}

/* --- resets ------------------------------------------------------------------- */

static void queue_reset(struct mmds_nic *nic, const struct reset *reset)
{
	if (nic->nresets < MMDS_RESETS_MAX)
		nic->resets[(nic->first_reset + nic->nresets++) % MMDS_RESETS_MAX] = *reset;
}

/* RFC 9293, 3.10.7.1; a reset is not answered by one. */
static void refuse(struct mmds_nic *nic, const struct frame_peer *peer, uint16_t port,
		   const struct frame_segment *s)
{
	struct reset reset = { .peer = *peer, .port = port };

	if (s->flags & FRAME_RST)
		return;
	if (s->flags & FRAME_ACK) {
		reset.flags = FRAME_RST;
		reset.seq = s->ack;
	} else {
		reset.flags = FRAME_RST | FRAME_ACK;
		reset.ack = s->seq + (uint32_t)s->len + (s->flags & FRAME_SYN ? 1 : 0) +
			    (s->flags & FRAME_FIN ? 1 : 0);
	}
	queue_reset(nic, &reset);
}

/* --- connections ---------------------------------------------------------------- */

static struct conn *find(struct mmds_nic *nic, const struct frame_peer *peer)
{
	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++) {
		struct conn *c = &nic->conns[i];

		if (c->tcp.state != TCP_FREE && c->peer.ip == peer->ip &&
		    c->peer.port == peer->port)
			return c;
	}
	return NULL;
}

static void end(struct mmds_nic *nic, struct conn *c)
{
	c->tcp.state = TCP_FREE;
	mmds_reply_fini(&c->reply);
	counter_inc(&nic->mmds->count.connections_destroyed);
}

/* The one that has been silent for longest, if that is long; its peer is told. */
static struct conn *evict(struct mmds_nic *nic, usec_t now)
{
	struct conn *oldest = &nic->conns[0];

	for (unsigned i = 1; i < MMDS_CONNS_MAX; i++)
		if (nic->conns[i].tcp.heard < oldest->tcp.heard)
			oldest = &nic->conns[i];
	if (now < oldest->tcp.heard + MMDS_EVICT_MS * USEC_PER_MSEC)
		return NULL;
	queue_reset(nic, &(struct reset){ .peer = oldest->peer,
					  .port = PORT,
					  .seq = oldest->tcp.snd_max,
					  .ack = oldest->tcp.rcv_nxt,
					  .flags = FRAME_RST | FRAME_ACK });
	end(nic, oldest);
	return oldest;
}

static struct conn *find_room(struct mmds_nic *nic, usec_t now)
{
	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++)
		if (nic->conns[i].tcp.state == TCP_FREE)
			return &nic->conns[i];
	return evict(nic, now);
}

/* A number that only who sees the answer can know (RFC 6528). */
static uint32_t pick_isn(struct mmds_nic *nic, const struct frame_peer *peer)
{
	const uint64_t of[] = { nic->opened++, peer->ip, peer->port };
	uint8_t tag[SIPHASH_TAG];
	uint32_t isn;

	siphash(nic->mmds->isn_key, of, sizeof(of), tag);
	memcpy(&isn, tag, sizeof(isn));
	return isn;
}

static void open_conn(struct mmds_nic *nic, const struct frame_peer *peer,
		      const struct frame_segment *syn, usec_t now)
{
	struct conn *c = find_room(nic, now);

	if (!c) {
		refuse(nic, peer, PORT, syn);
		return;
	}
	c->peer = *peer;
	tcp_open(&c->tcp, syn, pick_isn(nic, peer), now);
	counter_inc(&nic->mmds->count.connections_created);
}

/* Answers the next request that is complete, if the last answer has arrived. */
static void serve(struct mmds_nic *nic, struct conn *c, usec_t now)
{
	struct tcp_conn *tcp = &c->tcp;
	size_t used;

	if (tcp->out_len > 0 || tcp->closing)
		return;
	used = mmds_answer(nic->mmds, tcp->rx, tcp->rx_len, now, &c->reply);
	if (used > 0) {
		tcp_consume(tcp, used);
		tcp_send(tcp, c->reply.len + c->reply.body.len);
	}
	/* What is left of a peer that sends no more will never be a request. */
	if (used > 0 ? c->reply.close : tcp->fin_received)
		tcp_close(tcp);
}

static void take_segment(struct mmds_nic *nic, struct conn *c, const struct frame_peer *peer,
			 const struct frame_segment *s, usec_t now)
{
	struct mmds_metrics *count = &nic->mmds->count;

	switch (tcp_receive(&c->tcp, s, now)) {
	case TCP_NOTHING:
		break;
	case TCP_DROPPED:
		counter_inc(&count->rx_accepted_unusual);
		return;
	case TCP_ANSWERED:
		mmds_reply_fini(&c->reply);
		break;
	case TCP_REFUSED:
		counter_inc(&count->rx_accepted_unusual);
		refuse(nic, peer, PORT, s);
		end(nic, c);
		return;
	case TCP_RESET:
		end(nic, c);
		return;
	}
	if (c->tcp.state == TCP_OPEN)
		serve(nic, c, now);
	if (tcp_is_done(&c->tcp))
		end(nic, c);
}

static void take_tcp(struct mmds_nic *nic, const struct frame_peer *peer, uint16_t port,
		     const struct frame_segment *s, usec_t now)
{
	struct conn *c = port == PORT ? find(nic, peer) : NULL;

	counter_inc(&nic->mmds->count.rx_count);
	if (c)
		take_segment(nic, c, peer, s, now);
	else if (port == PORT && (s->flags & (FRAME_SYN | FRAME_ACK | FRAME_RST)) == FRAME_SYN)
		open_conn(nic, peer, s, now);
	else
		refuse(nic, peer, port, s);
}

static void take_fragment(struct mmds_nic *nic, struct frame_peer *peer, const uint8_t *frame,
			  usec_t now)
{
	struct frame_fragment part;
	struct frame_segment segment;
	const uint8_t *tcp;
	uint16_t port;
	int len;

	frame_get_fragment(frame, &part);
	len = fragments_add(&nic->fragments, peer->ip, &part, now, &tcp);
	if (len == 0)
		return;
	if (len > 0 &&
	    frame_parse_whole(tcp, (size_t)len, nic->ip, peer, &segment, &port) == FRAME_SEGMENT)
		take_tcp(nic, peer, port, &segment, now);
	else
		counter_inc(&nic->mmds->count.rx_accepted_err);
}

void mmds_nic_take(struct mmds_nic *nic, const uint8_t *frame, size_t len, usec_t now)
{
	struct mmds_metrics *count = &nic->mmds->count;
	struct frame_segment segment;
	struct frame_peer peer;
	uint16_t port = 0;

	counter_inc(&count->rx_accepted);
	switch (frame_parse(frame, len, nic->ip, &peer, &segment, &port)) {
	case FRAME_BAD:
		counter_inc(&count->rx_bad_eth);
		return;
	case FRAME_MALFORMED:
		counter_inc(&count->rx_accepted_err);
		return;
	case FRAME_UNUSUAL:
		counter_inc(&count->rx_accepted_unusual);
		return;
	case FRAME_ARP_REQUEST:
		nic->arp_asked = true;
		nic->arp_peer = peer;
		return;
	case FRAME_SEGMENT:
		take_tcp(nic, &peer, port, &segment, now);
		return;
	case FRAME_FRAGMENT:
		take_fragment(nic, &peer, frame, now);
		return;
	}
}

/* --- sending -------------------------------------------------------------------- */

static size_t give_reset(struct mmds_nic *nic, uint8_t *frame)
{
	const struct reset *reset = &nic->resets[nic->first_reset];
	const struct frame_segment s = {
		.seq = reset->seq,
		.ack = reset->ack,
		.flags = reset->flags,
	};

	nic->first_reset = (nic->first_reset + 1) % MMDS_RESETS_MAX;
	nic->nresets--;
	return frame_write_segment(frame, nic->ip, reset->port, &reset->peer, &s);
}

/* Bytes of the answer, whose text is followed by the document's part. */
static void copy_answer(const struct mmds_reply *reply, size_t from, uint8_t *to, size_t len)
{
	size_t text = from < reply->len ? reply->len - from : 0;
	size_t n = len < text ? len : text;

	memcpy(to, reply->text + (n > 0 ? from : 0), n);
	if (len > n)
		memcpy(to + n, reply->body.p + (from + n - reply->len), len - n);
}

static size_t give_segment(struct mmds_nic *nic, struct conn *c, uint8_t *frame, size_t cap,
			   usec_t now)
{
	struct tcp_out out;

	if (!tcp_next(&c->tcp, cap - FRAME_HEADERS, now, &out))
		return 0;
	if (out.segment.len > 0)
		copy_answer(&c->reply, out.from, frame + FRAME_HEADERS, out.segment.len);
	if (out.last || tcp_is_done(&c->tcp))
		end(nic, c);
	return frame_write_segment(frame, nic->ip, PORT, &c->peer, &out.segment);
}

static size_t give(struct mmds_nic *nic, uint8_t *frame, size_t cap, usec_t now)
{
	if (nic->arp_asked) {
		nic->arp_asked = false;
		return frame_write_arp_reply(frame, nic->ip, &nic->arp_peer);
	}
	if (nic->nresets > 0)
		return give_reset(nic, frame);
	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++) {
		struct conn *c = &nic->conns[nic->next_conn];
		size_t len = 0;

		if (c->tcp.state != TCP_FREE)
			len = give_segment(nic, c, frame, cap, now);
		nic->next_conn = (nic->next_conn + 1) % MMDS_CONNS_MAX;
		if (len > 0)
			return len;
	}
	return 0;
}

size_t mmds_nic_give(struct mmds_nic *nic, uint8_t *frame, size_t cap, usec_t now)
{
	struct mmds_metrics *count = &nic->mmds->count;
	size_t len;

	if (cap < MMDS_FRAME_MIN) {
		counter_inc(&count->tx_errors);
		return 0;
	}
	len = give(nic, frame, cap, now);
	if (len > 0) {
		counter_inc(&count->tx_count);
		counter_inc(&count->tx_frames);
		counter_add(&count->tx_bytes, len);
	}
	return len;
}

usec_t mmds_nic_due(const struct mmds_nic *nic)
{
	usec_t due = 0;

	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++) {
		usec_t at = tcp_due(&nic->conns[i].tcp);

		if (at != 0 && (due == 0 || at < due))
			due = at;
	}
	return due;
}

unsigned mmds_nic_conns(const struct mmds_nic *nic)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++)
		n += nic->conns[i].tcp.state != TCP_FREE;
	return n;
}
