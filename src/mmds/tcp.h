/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of TCP (RFC 9293), as a server that answers requests needs it: opened
 * by the peer; a small buffer that requests are collected in; one answer at a time,
 * whose bytes the owner keeps until they are acknowledged; closed by either side.
 *
 * It knows sequence numbers and time, not frames and not HTTP. Segments go in with
 * tcp_receive() and come out of tcp_next(), which is asked again and again, also after
 * tcp_due(). Segments beyond a hole are dropped and come again: all that a peer may send
 * before it is answered is TCP_RX_MAX bytes.
 */
#pragma once

#include "base/clock.h"
#include "mmds/frame.h"
#include "mmds/request.h"

enum {
	TCP_RX_MAX = MMDS_REQUEST_MAX,
	TCP_MSS = 1460,	       /* offered, and at most taken */
	TCP_MSS_DEFAULT = 536, /* RFC 9293, 3.7.1 */
	TCP_MSS_MIN = 28,      /* of a peer with IPv4's smallest MTU, 68 */
	TCP_TRIES_MAX = 15,    /* contract, 4.1: as often a segment goes without an answer */
	TCP_RTO_MS = 300,      /* doubles with each try, up to */
	TCP_RTO_MAX_MS = 10000,
	TCP_LINGER_MS = 10000, /* what a peer may take to close after we did */
};

enum tcp_state {
	TCP_FREE,
	TCP_OPENING, /* a SYN came */
	TCP_OPEN,
};

struct tcp_conn {
	enum tcp_state state;
	uint32_t rcv_nxt;	   /* next byte of the peer's */
	uint32_t snd_una, snd_nxt; /* oldest unacknowledged, next to send */
	uint32_t snd_max;	   /* end of what was ever sent */
	uint32_t out_seq;	   /* of the answer's first byte, or where the next one begins */
	size_t out_len;		   /* bytes of the answer; 0: there is none */
	uint32_t snd_wnd;
	uint16_t mss;
	bool closing;	   /* our FIN follows the answer */
	bool fin_received; /* the peer sends no more */
	bool fin_acked;	   /* the peer has our FIN */
	bool ack_due;
	bool probe; /* one byte into a closed window */
	unsigned tries;
	usec_t rto, rto_due; /* rto_due 0: nothing is waited for */
	usec_t heard;	     /* when the peer last sent something */
	size_t rx_len;
	char rx[TCP_RX_MAX]; /* what was received and not consumed */
};

/* A SYN without an ACK came. `isn' is nobody's to guess. */
void tcp_open(struct tcp_conn *c, const struct frame_segment *syn, uint32_t isn, usec_t now);

enum tcp_event {
	TCP_NOTHING,  /* also: more in rx, or the peer's end; look */
	TCP_DROPPED,  /* the segment was none that fits here */
	TCP_ANSWERED, /* the answer has arrived: its bytes are free */
	TCP_REFUSED,  /* the segment is to be answered by a reset, and the connection is gone */
	TCP_RESET,    /* the peer has reset the connection: it is gone */
};

must_check enum tcp_event tcp_receive(struct tcp_conn *c, const struct frame_segment *segment,
				      usec_t now);

/* The first `len' bytes of rx have been used. */
void tcp_consume(struct tcp_conn *c, size_t len);

/* An answer of `len' > 0 bytes is to be sent; there is none yet and tcp_close() was not called. */
void tcp_send(struct tcp_conn *c, size_t len);

/* Our FIN goes behind the answer; what the peer still sends is thrown away. */
void tcp_close(struct tcp_conn *c);

struct tcp_out {
	struct frame_segment segment; /* data is NULL */
	size_t from; /* the segment's data are segment.len bytes of the answer from here */
	bool last;   /* a reset: the connection is gone */
};

/* The next segment, of at most `room' bytes of data; false: none now. */
must_check bool tcp_next(struct tcp_conn *c, size_t room, usec_t now, struct tcp_out *out);

/* Both sides have closed and know it of each other. */
must_check bool tcp_is_done(const struct tcp_conn *c);

/* When tcp_next() may have something without anything else having happened; 0: never. */
must_check usec_t tcp_due(const struct tcp_conn *c);
