/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio socket device (virtio 1.2, 5.10): streams between the guest and Unix sockets
 * of the host, by Firecracker's rules (contract, 3.4; docs/vsock.md has them all).
 *
 * packet   headers          conn   one connection       mux   all of them
 * txbuf    bytes that wait  host   the Unix sockets     vsock the queues
 */
#pragma once

#include "base/counter.h"
#include "base/err.h"
#include "base/metrics.h"
#include "devices/virtio/vdev.h"

/* Names and order of the contract's group `vsock'. */
#define VSOCK_METRICS(X)        \
	X(activate_fails)       \
	X(cfg_fails)            \
	X(rx_queue_event_fails) \
	X(tx_queue_event_fails) \
	X(ev_queue_event_fails) \
	X(muxer_event_fails)    \
	X(conn_event_fails)     \
	X(rx_queue_event_count) \
	X(tx_queue_event_count) \
	X(rx_bytes_count)       \
	X(tx_bytes_count)       \
	X(rx_packets_count)     \
	X(tx_packets_count)     \
	X(conns_added)          \
	X(conns_killed)         \
	X(conns_removed)        \
	X(killq_resync)         \
	X(tx_flush_fails)       \
	X(tx_write_fails)       \
	X(rx_read_fails)

struct vsock_metrics {
#define X(name) counter_t name;
	VSOCK_METRICS(X)
#undef X
};

extern const struct metrics_shape vsock_metrics_shape;

/* Context ids that a guest can have: those below and the last one mean something else. */
#define VSOCK_CID_FIRST UINT32_C(3)
#define VSOCK_CID_LAST	(UINT32_MAX - 1)

struct vsock_cfg {
	uint32_t guest_cid;   /* VSOCK_CID_FIRST to VSOCK_CID_LAST */
	const char *uds_path; /* copied */
	int listen_fd;	      /* listens at uds_path, non-blocking; duplicated */
	struct loop *loop;    /* the one that the device will be attached to */
};

/* Main thread. */
must_check int vsock_create(const struct vsock_cfg *cfg, struct vdev **ret, struct err *e);

/* Any thread. */
must_check const struct vsock_metrics *vsock_metrics(const struct vdev *dev);
