/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection between a port of the guest and a Unix socket of the host.
 *
 *   host connects:   GREETING -> ASKING -> OPEN -> DEAD -> (free)
 *   guest connects:                        OPEN -> LINGERING -> (free)
 *
 * Theory of operation. What the guest sends goes straight from its memory into the
 * socket; what the socket does not take waits in a buffer of 64 KiB, whose size is the
 * guest's credit. What the host sends is read straight into the guest's memory, when
 * the guest has given a buffer and its credit allows, and not before: so either
 * direction is held back by the other side's own slowness and disturbs no other
 * connection. Each half closes by itself.
 *
 * The socket is watched edge by edge, so a peer that sends into a guest that does not
 * read costs nothing: `readable' remembers the edge until read() says -EAGAIN.
 *
 * A connection only changes its own state. After each call the muxer looks at it and
 * does what follows: closes, queues, watches, frees (vsock_mux_settle()).
 */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "devices/virtio/vsock/packet.h"
#include "devices/virtio/vsock/txbuf.h"

#define VSOCK_TIMEOUT (2 * USEC_PER_SEC) /* for a REQUEST and for a SHUTDOWN; contract, 3.4 */

enum vsock_state {
	VSOCK_FREE,
	VSOCK_GREETING, /* from the host, which has yet to say CONNECT */
	VSOCK_ASKING,	/* OP_REQUEST goes to the guest, which has yet to answer */
	VSOCK_OPEN,
	VSOCK_DEAD,	 /* the socket is to be closed, and the guest told so */
	VSOCK_LINGERING, /* the guest has closed; its last bytes wait for the host */
};

/* What the guest is to be told; data and SHUTDOWN follow from the other members. */
enum vsock_say {
	VSOCK_SAY_REQUEST = 1,
	VSOCK_SAY_RESPONSE = 2,
	VSOCK_SAY_RST = 4,
	VSOCK_SAY_CREDIT = 8,
};

struct vsock_mux;

struct vsock_conn {
	struct loop_src src; /* the socket, owned; fd -1: closed */
	enum vsock_state state;
	uint32_t local, peer; /* ports: the host's and the guest's */
	unsigned say;	      /* enum vsock_say */
	bool readable;	      /* an edge has said so, and no read() has denied it yet */
	bool hung_up;	      /* the socket's other end is closed in both directions */
	unsigned host_shut;   /* enum vsock_shut: what the host will not do any more */
	unsigned told_shut;   /* what of it the guest knows */
	unsigned guest_shut;  /* what the guest will not do any more */
	usec_t deadline;      /* 0: none */

	uint32_t sent;		     /* bytes to the guest, ever */
	uint32_t peer_fwd, peer_buf; /* what the guest said last about its buffer */
	bool asked;		     /* for credit, since it ran out */

	uint32_t received;	  /* bytes from the guest, ever */
	uint32_t fwd;		  /* of which the host has */
	uint32_t told_fwd;	  /* of which the guest knows */
	struct vsock_txbuf txbuf; /* the bytes between */

	/* the muxer's */
	struct vsock_mux *mux;
	struct list link, *in; /* in at most one list: free, greeting, due or lingering */
	struct list rx;	       /* in the list of those that have something for the guest */
	struct vsock_conn *next_hash;
	bool hashed; /* in the table */
	bool named;  /* has been */
};

struct vsock_io {	     /* what the bytes go through, of the device: for one call at a time */
	struct iovec *slice; /* VIRTQ_IOV_MAX */
	uint64_t guest_cid;
	uint64_t read_fails, write_fails, flush_fails; /* for the device's counters */
};

/* A packet of this connection but an OP_REQUEST; its header has been read, see packet.h. */
void vsock_conn_from_guest(struct vsock_conn *c, const struct vsock_hdr *hdr,
			   const struct virtq_chain *chain, struct vsock_io *io);

/* Events of the socket, of an ASKING, OPEN or LINGERING connection. */
void vsock_conn_from_host(struct vsock_conn *c, uint32_t events, struct vsock_io *io);

/* Whether there may be something for the guest. */
must_check bool vsock_conn_wants(const struct vsock_conn *c);

/*
 * Makes the next packet of a connection that wants to, in a chain that a header fits
 * into: bytes written, 0 when there was nothing after all.
 */
must_check uint32_t vsock_conn_to_guest(struct vsock_conn *c, const struct virtq_chain *chain,
					struct vsock_io *io);

/* The socket is to be closed, and the guest gets an OP_RST. */
void vsock_conn_kill(struct vsock_conn *c);
