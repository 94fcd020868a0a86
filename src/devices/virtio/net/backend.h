/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What frames go to and come from: a tap (tap.c), a process that speaks a stream of
 * frames (passt.c), or what a test puts there. A back end knows frames and its
 * descriptor, neither queues nor guests.
 *
 * In the guest's memory a frame begins with the virtio header of NET_HDR bytes; every
 * length here counts it. Whether the back end's frames have one too is its class's
 * business.
 *
 * Main thread to make and destroy; the rest on the loop with the device's lock held.
 */
#pragma once

#include <sys/uio.h>

#include "base/cc.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/uring.h"

enum {
	NET_HDR = 12, /* virtio 1.2, 5.1.6: num_buffers is always there with VERSION_1 */
	NET_ETH = 14, /* bytes of an Ethernet header: no frame is shorter */
	/* An IP packet of 64 KiB behind both headers. */
	NET_FRAME_MAX = NET_HDR + NET_ETH + 65536,
	NET_FRAME_MIN = NET_HDR + NET_ETH,
	NET_BATCH = 64, /* frames that are sent at once */
};

struct net;
struct net_backend;

/* A frame on its way; the device's. */
struct net_out {
	struct uring_op op; /* the back end's */
	const struct iovec *iov;
	unsigned n;
	size_t len;
	int r; /* as of send() */
};

struct net_backend_class {
	const char *name;
	bool header;	   /* its frames have the virtio header; else it leaves room for one */
	bool level;	   /* the descriptor stays readable while there are frames */
	bool knows_link;   /* the link can be down: VIRTIO_NET_F_STATUS */
	uint64_t offloads; /* features that it can carry out */
	/*
	 * What the driver has chosen of all features; what it must not see any more, if
	 * `anew', is thrown away. 0 or -errno.
	 */
	int (*begin)(struct net_backend *b, uint64_t acked, bool anew);
	/*
	 * One frame of `len' bytes. 0; 1: taken, but flush() has to follow; -EAGAIN: nothing
	 * of it was taken. In both of these the descriptor will be writable. Any other error:
	 * the frame is lost.
	 */
	int (*send)(struct net_backend *b, const struct iovec *iov, unsigned n, size_t len);
	/*
	 * send() for each, up to NET_BATCH, in their order; but after one that does not go none
	 * is tried: -ECANCELED. Each is done when it returns. Only where `batches'.
	 */
	void (*send_all)(struct net_backend *b, struct net_out *out, unsigned n);
	/* Goes on with what send() has taken: 0 when that is done, else -errno. NULL: nothing. */
	int (*flush)(struct net_backend *b);
	/*
	 * One frame into iov[0..n), which takes more than NET_FRAME_MAX bytes. Its length
	 * (above NET_FRAME_MAX: it was cut off), or -EAGAIN, or another error.
	 */
	ssize_t (*recv)(struct net_backend *b, const struct iovec *iov, unsigned n);
	/* epoll says EPOLLERR or EPOLLHUP, which cannot be silenced. */
	void (*broken)(struct net_backend *b);
	void (*destroy)(struct net_backend *b);
};

struct net_backend { /* embedded in the back end's object */
	const struct net_backend_class *class;
	struct net *net;     /* the device; NULL before net_create() */
	struct loop *loop;   /* NULL until the device begins */
	struct loop_src src; /* fd is the back end's; -1: none now */
	bool down;	     /* the link is; only where knows_link */
	bool batches;	     /* send_all() is faster than many send() */
};

void net_backend_init(struct net_backend *b, const struct net_backend_class *class, int fd);

/* The descriptor becomes the loop's, which waits for nothing yet. 0 or -errno. */
must_check int net_backend_attach(struct net_backend *b);

/* What the loop waits for, 0: for nothing. Without effect while it is not the loop's. */
void net_backend_watch(struct net_backend *b, uint32_t events);

/* The descriptor is no longer the loop's; there may be another one later. */
void net_backend_detach(struct net_backend *b);

/* --- what the device does for its back end -------------------------------------------- */

/* The descriptor is ready. Loop; takes the device's lock. */
void net_on_ready(struct net_backend *b, uint32_t events);

/* The link went up or down. Loop; lock held. */
void net_on_link(struct net_backend *b, bool up);

/* Takes the lock for a callback of the back end's own, a timer's for instance. */
void net_lock(struct net_backend *b);
void net_unlock(struct net_backend *b);
