/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections of the device: a pool that is made once, a table by ports, and the lists
 * that say who is to be served next and whose time is up.
 *
 * Everything on the loop's thread, with the device's lock held.
 */
#pragma once

#include "base/counter.h"
#include "devices/virtio/vsock/conn.h"

enum {
	VSOCK_CONNS_MAX = 1023, /* contract, 3.4 */
	VSOCK_FDS_LEFT = 256,	/* of the process's limit, for everything else */
	VSOCK_RSTS_MAX = 256,
	VSOCK_BUCKET_BITS = 10,
};

/* Ports that the host's side takes for connections of its own; contract, 3.4. */
#define VSOCK_PORT_FIRST (UINT32_C(1) << 30)
#define VSOCK_PORT_LAST	 ((UINT32_C(1) << 31) - 1)

/* An OP_RST for a packet that belongs to no connection. */
struct vsock_rst {
	uint64_t cid; /* that the guest spoke to */
	uint32_t local, peer;
	uint16_t type;
};

struct vsock_mux {
	struct loop *loop;	 /* the device's */
	loop_fn on_event;	 /* of every connection's socket */
	struct vsock_conn *conn; /* owned: VSOCK_CONNS_MAX */
	uint8_t *buffers;	 /* owned: VSOCK_TXBUF_SIZE for each */
	unsigned max;		 /* that may be used at a time; the device's */
	unsigned nfresh;	 /* that have been used at least once */
	unsigned nused;
	struct list free;
	struct list greeting, lingering; /* oldest first: these give way when all are taken */
	struct list due;		 /* by deadline */
	struct list rx;			 /* those that want to say something to the guest */
	struct vsock_conn *bucket[1 << VSOCK_BUCKET_BITS];
	uint32_t last_port;	    /* given out last */
	counter_t *added, *removed; /* connections that had a name; the device's */

	struct vsock_rst rst[VSOCK_RSTS_MAX]; /* a ring */
	unsigned first_rst, nrsts;
};

/* `max', `added' and `removed' are set by the caller then. -ENOMEM with everything undone. */
must_check int vsock_mux_init(struct vsock_mux *m, struct loop *loop, loop_fn on_event);
void vsock_mux_fini(struct vsock_mux *m);

/* NULL: there is no such connection. */
must_check struct vsock_conn *vsock_mux_find(const struct vsock_mux *m, uint32_t local,
					     uint32_t peer);

/*
 * A connection on a stream, which is taken over and watched. When all are taken, the
 * oldest that has not said CONNECT yet gives way, then the oldest that lingers; -EMFILE
 * when there is none, and then, as after any error, the stream is closed.
 */
must_check int vsock_mux_add(struct vsock_mux *m, int fd, enum vsock_state state,
			     struct vsock_conn **ret);

/* Gives a connection its ports and puts it into the table; they are nobody else's. */
void vsock_mux_name(struct vsock_mux *m, struct vsock_conn *c, uint32_t local, uint32_t peer);

/* A port of the host's side that no connection has. */
must_check uint32_t vsock_mux_port(struct vsock_mux *m);

/*
 * After anything has happened to a connection: does what follows from its state. The
 * connection may be gone after it.
 */
void vsock_mux_settle(struct vsock_mux *m, struct vsock_conn *c);

/* Whether there may be something for the guest: an OP_RST, or of a connection. */
must_check bool vsock_mux_wants(const struct vsock_mux *m);

/*
 * The connection whose turn it is; one wants to, and no OP_RST waits. It is in the
 * queue no more: to be settled when it has spoken.
 */
must_check struct vsock_conn *vsock_mux_next(struct vsock_mux *m);

/* The connection whose time is up at `now'; NULL: nobody's. */
must_check struct vsock_conn *vsock_mux_late(const struct vsock_mux *m, usec_t now);

/* When the next one's is, 0: never. And all of them get more time. */
must_check usec_t vsock_mux_due(const struct vsock_mux *m);
void vsock_mux_delay(struct vsock_mux *m, usec_t by);

/* Queues an OP_RST; not when VSOCK_RSTS_MAX of them wait. */
void vsock_mux_put_rst(struct vsock_mux *m, const struct vsock_rst *rst);
must_check bool vsock_mux_take_rst(struct vsock_mux *m, struct vsock_rst *ret);

/* The connection has no name any more, and the guest is not told. */
void vsock_mux_forget(struct vsock_mux *m, struct vsock_conn *c);

/* Closes every connection; the guest is not told. */
void vsock_mux_drop(struct vsock_mux *m);
