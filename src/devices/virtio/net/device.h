/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device's inside, shared by net.c (the class), rx.c and tx.c (a queue
 * each), and nobody else. All of it (L).
 */
#pragma once

#include <limits.h>

#include "devices/virtio/limit.h"
#include "devices/virtio/net/backend.h"
#include "devices/virtio/net/net.h"

/* virtio 1.2, 5.1.3 */
#define NET_F_CSUM	 (UINT64_C(1) << 0)
#define NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define NET_F_MTU	 (UINT64_C(1) << 3)
#define NET_F_MAC	 (UINT64_C(1) << 5)
#define NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define NET_F_GUEST_TSO6 (UINT64_C(1) << 8)
#define NET_F_GUEST_UFO	 (UINT64_C(1) << 10)
#define NET_F_HOST_TSO4	 (UINT64_C(1) << 11)
#define NET_F_HOST_TSO6	 (UINT64_C(1) << 12)
#define NET_F_HOST_UFO	 (UINT64_C(1) << 14)
#define NET_F_MRG_RXBUF	 (UINT64_C(1) << 15)
#define NET_F_STATUS	 (UINT64_C(1) << 16)

/* A frame that is between two memories of others; `len' 0: there is none. */
struct net_kept {
	size_t len;
	bool paid; /* its tokens are taken */
	uint8_t buf[NET_FRAME_MAX + 1];
};

/*
 * Buffers of the driver that are popped and not filled yet, in one array of segments, so
 * that a run of frames is read into them one after the other. They are given back to
 * the ring at the end of the run: between two runs nothing is in flight.
 */
struct net_rx {
	struct vdev_limit limit;
	struct loop_timer timer; /* ends a wait that nothing else need end */
	unsigned first, n;	 /* held[first..n) are held */
	unsigned end;		 /* segments of iov that are taken */
	uint64_t room;		 /* bytes of those held */
	size_t want;		 /* bytes to hold before a frame is read */
	size_t largest;		 /* frame of this run */
	struct virtq_chain held[VIRTQ_MAX_SIZE];
	struct iovec iov[IOV_MAX];
	struct net_kept late;  /* came from the back end, cannot be delivered now */
	struct net_kept given; /* by the detour */
};

/*
 * Chains of the driver that are popped, paid for and not sent yet, in the order in which
 * they go. The array of segments is larger than any chain, so that a batch has no limit
 * on those of one frame. Between two runs nothing is here.
 */
struct net_tx {
	struct vdev_limit limit;
	bool blocked; /* the back end will say when it can take more */
	unsigned n;   /* frames */
	unsigned end; /* segments of iov that are taken */
	struct virtq_chain chain[NET_BATCH];
	struct net_out out[NET_BATCH];
	bool spoofed[NET_BATCH]; /* another source address than the device's */
	struct iovec iov[IOV_MAX];
	uint8_t frame[NET_FRAME_MAX]; /* for the detour */
};

struct net {
	struct vdev vdev;
	struct net_metrics metrics;
	struct metrics_group group;
	char id[NET_ID_MAX + 1];
	struct net_backend *backend; /* owned */
	struct net_detour *detour;   /* not owned; NULL: none */
	bool has_mac;
	uint8_t mac[NET_MAC];
	uint16_t mtu;
	bool begun;    /* the back end knows what the driver has chosen */
	bool restored; /* by load(): what the back end has is for this driver */
	bool hears;    /* frames are waited for */
	struct net_rx rx;
	struct net_tx tx;
};

/* Whether frames may move: the driver runs, and the back end knows what it has chosen. */
static inline bool net_runs(const struct net *net)
{
	return net->begun && vdev_runs(&net->vdev);
}

/* Tells the loop what is waited for. Loop. */
void net_watch(struct net *net);

/* At most VDEV_BUDGET frames of the direction, then vdev_flush(). Loop. */
void net_rx_run(struct net *net);
void net_tx_run(struct net *net);

/* Only what the detour gives, after it has taken a frame. Loop. */
void net_rx_from_detour(struct net *net);

/* Frames of the driver that is gone are forgotten. Any thread. */
void net_rx_forget(struct net *net);

void net_rx_init(struct net *net);
void net_rx_fini(struct net *net);
