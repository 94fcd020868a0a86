/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/conn.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "devices/virtio/iov.h"

/*
 * The guest is told of its credit when it thinks that it has less than this left
 * (and always when it asks).
 */
enum { CREDIT_LOW = VSOCK_TXBUF_SIZE / 2 };

void vsock_conn_kill(struct vsock_conn *c)
{
	c->state = VSOCK_DEAD;
	/* Of what has not been asked for yet the guest knows nothing. */
	c->say = c->say & VSOCK_SAY_REQUEST ? 0 : VSOCK_SAY_RST;
}

/* --- credit ----------------------------------------------------------------- */

/* Bytes that the guest still has room for. */
static uint32_t credit(const struct vsock_conn *c)
{
	uint32_t under_way = c->sent - c->peer_fwd;

	return c->peer_buf > under_way ? c->peer_buf - under_way : 0;
}

/*
 * Every packet says how much of what we sent has left the guest's buffer. More than
 * was sent is a lie; less than was said before comes late, from another CPU of the
 * guest. Neither counts.
 */
static void take_credit(struct vsock_conn *c, const struct vsock_hdr *hdr)
{
	uint32_t gone = hdr->fwd_cnt - c->peer_fwd;

	if (gone > c->sent - c->peer_fwd)
		return;
	c->peer_fwd = hdr->fwd_cnt;
	c->peer_buf = hdr->buf_alloc;
	if (credit(c) > 0)
		c->asked = false;
}

static bool owes_credit(const struct vsock_conn *c)
{
	return c->fwd != c->told_fwd && VSOCK_TXBUF_SIZE - (c->received - c->told_fwd) < CREDIT_LOW;
}

/* --- from the guest ----------------------------------------------------------- */

/*
 * Nobody takes what the guest sends. It is told so, and what it has sent is dropped;
 * what the host had sent before is still to be read.
 */
static void host_takes_no_more(struct vsock_conn *c, ssize_t error)
{
	c->fwd += c->txbuf.len;
	c->txbuf.len = 0;
	if (c->state == VSOCK_LINGERING)
		return;
	if (error != -EPIPE && error != -ECONNRESET) {
		vsock_conn_kill(c);
		return;
	}
	c->host_shut |= VSOCK_SHUT_RCV;
	if (error == -ECONNRESET)
		c->hung_up = true;
}

/* All that the guest will ever send is with the host: which sees the end of it. */
static void end_of_guest(struct vsock_conn *c)
{
	if (c->state == VSOCK_OPEN && c->guest_shut & VSOCK_SHUT_SEND && c->txbuf.len == 0)
		(void)shutdown(c->src.fd, SHUT_WR); /* -ENOTCONN: the peer has gone */
}

static void flush(struct vsock_conn *c, struct vsock_io *io)
{
	ssize_t n;

	if (c->txbuf.len == 0)
		return;
	n = vsock_txbuf_flush(&c->txbuf, c->src.fd);
	if (n < 0) {
		io->flush_fails++;
		host_takes_no_more(c, n);
	} else {
		c->fwd += (uint32_t)n;
	}
	end_of_guest(c);
}

static void take_data(struct vsock_conn *c, uint32_t len, const struct virtq_chain *chain,
		      struct vsock_io *io)
{
	ssize_t n = 0;

	/* Beyond the credit that it has been given, or after it said that there is no more. */
	if (len > VSOCK_TXBUF_SIZE - (c->received - c->fwd) || c->guest_shut & VSOCK_SHUT_SEND) {
		vsock_conn_kill(c);
		return;
	}
	c->received += len;
	if (len > 0 && c->txbuf.len == 0 && !(c->host_shut & VSOCK_SHUT_RCV))
		n = vsock_send(c->src.fd, io->slice,
			       iov_slice(chain->iov, chain->nout, VSOCK_HDR_SIZE, len, io->slice));
	if (n < 0 && n != -EAGAIN) {
		io->write_fails++;
		host_takes_no_more(c, n);
	}
	n = n < 0 ? 0 : n;
	if (c->host_shut & VSOCK_SHUT_RCV || c->state == VSOCK_DEAD)
		n = len;
	c->fwd += (uint32_t)n;
	vsock_txbuf_put(&c->txbuf, chain->iov, chain->nout, VSOCK_HDR_SIZE + (uint64_t)n,
			len - (uint32_t)n);
}

/*
 * The guest has closed: what it sent last is still the host's. Nothing is read from
 * the host any more, and whoever writes before it reads must not wait for ever.
 */
static void guest_has_gone(struct vsock_conn *c, unsigned say)
{
	if (c->txbuf.len > 0)
		(void)shutdown(c->src.fd, SHUT_RD);
	c->state = VSOCK_LINGERING;
	c->say = say;
	c->deadline = 0;
}

static void take_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & VSOCK_SHUT_BOTH;
	if (c->guest_shut == VSOCK_SHUT_BOTH) {
		guest_has_gone(c, VSOCK_SAY_RST);
		return;
	}
	if (c->guest_shut & VSOCK_SHUT_RCV) {
		c->readable = false;
		(void)shutdown(c->src.fd, SHUT_RD);
	}
	end_of_guest(c);
}

/* The guest has accepted: the line that the host's program waits for. */
static void take_response(struct vsock_conn *c)
{
	char line[sizeof("OK 4294967295\n")];
	int len = snprintf(line, sizeof(line), "OK %u\n", c->local);
	struct iovec iov = { .iov_base = line, .iov_len = (size_t)len };

	/* The first bytes into an empty socket: all of them fit, or the peer has gone. */
	if (c->say & VSOCK_SAY_REQUEST || vsock_send(c->src.fd, &iov, 1) != len) {
		vsock_conn_kill(c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->deadline = 0;
	c->readable = true; /* what came behind CONNECT: its edge has passed */
}

/* An answer to a REQUEST. */
static void from_asked_guest(struct vsock_conn *c, const struct vsock_hdr *hdr)
{
	if (hdr->op == VSOCK_OP_RESPONSE)
		take_response(c);
	else
		vsock_conn_kill(c);
}

static void from_open_guest(struct vsock_conn *c, const struct vsock_hdr *hdr,
			    const struct virtq_chain *chain, struct vsock_io *io)
{
	switch (hdr->op) {
	case VSOCK_OP_RW:
		take_data(c, hdr->len, chain, io);
		break;
	case VSOCK_OP_SHUTDOWN:
		take_shutdown(c, hdr->flags);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		c->say |= VSOCK_SAY_CREDIT;
		break;
	default:
		vsock_conn_kill(c);
	}
}

void vsock_conn_from_guest(struct vsock_conn *c, const struct vsock_hdr *hdr,
			   const struct virtq_chain *chain, struct vsock_io *io)
{
	if (c->state == VSOCK_DEAD || c->state == VSOCK_LINGERING) {
		if (hdr->op == VSOCK_OP_RST)
			c->say = 0;
		return;
	}
	take_credit(c, hdr);
	if (hdr->op == VSOCK_OP_RST)
		guest_has_gone(c, 0);
	else if (c->state == VSOCK_ASKING)
		from_asked_guest(c, hdr);
	else
		from_open_guest(c, hdr, chain, io);
}

/* --- from the host ------------------------------------------------------------ */

static bool host_may_send(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && !(c->host_shut & VSOCK_SHUT_SEND) &&
	       !(c->guest_shut & VSOCK_SHUT_RCV);
}

/* The other end is closed for good, and all that it has sent is with the guest. */
static void look_for_the_end(struct vsock_conn *c)
{
	if (c->hung_up && (c->host_shut & VSOCK_SHUT_SEND || c->guest_shut & VSOCK_SHUT_RCV))
		c->host_shut = VSOCK_SHUT_BOTH;
}

void vsock_conn_from_host(struct vsock_conn *c, uint32_t events, struct vsock_io *io)
{
	if (events & (EPOLLHUP | EPOLLERR))
		c->hung_up = true;
	flush(c, io);
	if (c->state == VSOCK_OPEN)
		look_for_the_end(c);
	/* A client that has given up needs no answer any more. */
	if (c->state == VSOCK_ASKING && c->hung_up)
		vsock_conn_kill(c);
	if (host_may_send(c) && events & ~(uint32_t)EPOLLOUT)
		c->readable = true;
}

/* --- to the guest --------------------------------------------------------------- */

bool vsock_conn_wants(const struct vsock_conn *c)
{
	switch (c->state) {
	case VSOCK_FREE:
	case VSOCK_GREETING:
		return false;
	case VSOCK_ASKING:
	case VSOCK_DEAD:
	case VSOCK_LINGERING:
		return c->say != 0;
	case VSOCK_OPEN:
		break;
	}
	return c->say || owes_credit(c) || c->told_shut != c->host_shut ||
	       (c->readable && (credit(c) > 0 || !c->asked));
}

/*
 * Data from the socket into the chain behind its header: bytes, 0 for none now. At the
 * end of the stream, told by the state of the connection, there will be none any more.
 */
static uint32_t read_host(struct vsock_conn *c, const struct virtq_chain *chain,
			  struct vsock_io *io)
{
	uint64_t room = chain->in_len - VSOCK_HDR_SIZE;
	uint32_t want = credit(c) < VSOCK_DATA_MAX ? credit(c) : VSOCK_DATA_MAX;
	ssize_t n = FAULT(-EIO);
	unsigned segs;

	want = room < want ? (uint32_t)room : want;
	segs = iov_slice(chain->iov + chain->nout, chain->nin, VSOCK_HDR_SIZE, want, io->slice);
	while (n == 0) {
		n = readv(c->src.fd, io->slice, (int)segs);
		if (n >= 0)
			break;
		n = errno == EINTR ? 0 : -errno; /* a signal before the first byte */
	}
	if (n > 0)
		return (uint32_t)n;
	if (n == -EAGAIN) {
		c->readable = false;
		return 0;
	}
	if (n < 0 && n != -ECONNRESET) {
		io->read_fails++;
		vsock_conn_kill(c);
		return 0;
	}
	/* -ECONNRESET: the peer has closed and left unread what the guest sent. */
	c->hung_up |= n < 0;
	c->readable = false;
	c->host_shut |= VSOCK_SHUT_SEND;
	look_for_the_end(c);
	return 0;
}

static uint32_t put(struct vsock_conn *c, const struct virtq_chain *chain,
		    const struct vsock_io *io, enum vsock_op op, uint32_t len, uint32_t flags)
{
	const struct vsock_hdr hdr = {
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = io->guest_cid,
		.src_port = c->local,
		.dst_port = c->peer,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = VSOCK_TXBUF_SIZE,
		.fwd_cnt = c->fwd,
	};

	c->told_fwd = c->fwd;
	c->say &= ~(unsigned)VSOCK_SAY_CREDIT;
	vsock_hdr_write(chain, &hdr);
	return VSOCK_HDR_SIZE + len;
}

static uint32_t put_rst(struct vsock_conn *c, const struct virtq_chain *chain,
			const struct vsock_io *io)
{
	c->say = 0;
	return put(c, chain, io, VSOCK_OP_RST, 0, 0);
}

static uint32_t put_data(struct vsock_conn *c, const struct virtq_chain *chain, struct vsock_io *io)
{
	uint32_t n;

	if (!c->readable || credit(c) == 0 || chain->in_len == VSOCK_HDR_SIZE)
		return 0;
	n = read_host(c, chain, io);
	if (n == 0)
		return 0;
	c->sent += n;
	return put(c, chain, io, VSOCK_OP_RW, n, 0);
}

static uint32_t put_shutdown(struct vsock_conn *c, const struct virtq_chain *chain,
			     const struct vsock_io *io)
{
	c->told_shut = c->host_shut;
	if (c->told_shut == VSOCK_SHUT_BOTH)
		c->deadline = clock_monotonic() + VSOCK_TIMEOUT;
	return put(c, chain, io, VSOCK_OP_SHUTDOWN, 0, c->host_shut);
}

static uint32_t put_open(struct vsock_conn *c, const struct virtq_chain *chain, struct vsock_io *io)
{
	uint32_t written;

	if (c->say & VSOCK_SAY_RESPONSE) {
		c->say &= ~(unsigned)VSOCK_SAY_RESPONSE;
		return put(c, chain, io, VSOCK_OP_RESPONSE, 0, 0);
	}
	written = put_data(c, chain, io);
	if (written > 0)
		return written;
	if (c->state == VSOCK_DEAD)
		return put_rst(c, chain, io);
	if (c->told_shut != c->host_shut)
		return put_shutdown(c, chain, io);
	if (c->readable && credit(c) == 0 && !c->asked) {
		c->asked = true;
		return put(c, chain, io, VSOCK_OP_CREDIT_REQUEST, 0, 0);
	}
	/* A buffer without room for data takes at least this. */
	if (c->say & VSOCK_SAY_CREDIT || owes_credit(c) || (c->readable && credit(c) > 0))
		return put(c, chain, io, VSOCK_OP_CREDIT_UPDATE, 0, 0);
	return 0;
}

uint32_t vsock_conn_to_guest(struct vsock_conn *c, const struct virtq_chain *chain,
			     struct vsock_io *io)
{
	if (c->say & VSOCK_SAY_RST)
		return put_rst(c, chain, io);
	if (c->say & VSOCK_SAY_REQUEST) {
		c->say &= ~(unsigned)VSOCK_SAY_REQUEST;
		c->deadline = clock_monotonic() + VSOCK_TIMEOUT;
		return put(c, chain, io, VSOCK_OP_REQUEST, 0, 0);
	}
	return c->state == VSOCK_OPEN ? put_open(c, chain, io) : 0;
}
