/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio network device (virtio 1.2, 5.1): one queue pair in front of a back end
 * (backend.h), which is a tap or a process that speaks a stream of frames.
 *
 * Frames go between the guest's buffers and the back end's descriptor without a copy
 * of ours, those of the guest in batches where that is faster. Receiving is driven by readiness: a
 * frame is read when there is a buffer to read it into, never before, so nothing is written while
 * the machine is paused. A frame that came and cannot be delivered now (the limiter, too few
 * buffers) is kept, one of them, in the device; it is not part of the saved state.
 *
 * What a driver sends and no network could carry (too short, too long, with a part
 * that is to be written) is dropped and counted. The contents of a frame are nobody's
 * business here; only its first bytes are looked at, for the source address and for
 * the detour.
 */
#pragma once

#include "base/err.h"
#include "base/metrics.h"
#include "base/rate.h"
#include "devices/virtio/vdev.h"

struct net_backend;

enum {
	NET_MAC = 6,
	NET_ID_MAX = 64,  /* bytes of an iface_id */
	NET_MTU_MIN = 68, /* RFC 791 */
	NET_MTU_MAX = 65535,
	NET_HEAD = 64, /* bytes of a frame that net_detour.wants() may see */
	NET_RX = 0,    /* queues */
	NET_TX = 1,
};

struct net_cfg {
	const char *id; /* iface_id; copied */
	bool has_mac;	/* else the driver makes one up */
	uint8_t mac[NET_MAC];
	uint16_t mtu;		     /* 0: not told */
	struct net_backend *backend; /* the device's after success */
};

/*
 * Names and order of the contract's group `net_<iface_id>'. rx_count and tx_count are
 * frames that the back end gave and took, *_packets_count those that passed the guest's
 * side of the device, the detour's among them.
 */
#define NET_METRICS(X)                 \
	X(activate_fails)              \
	X(cfg_fails)                   \
	X(no_rx_avail_buffer)          \
	X(no_tx_avail_buffer)          \
	X(event_fails)                 \
	X(rx_queue_event_count)        \
	X(rx_event_rate_limiter_count) \
	X(rx_rate_limiter_throttled)   \
	X(rx_tap_event_count)          \
	X(rx_bytes_count)              \
	X(rx_packets_count)            \
	X(rx_fails)                    \
	X(rx_count)                    \
	X(tap_read_fails)              \
	X(tap_write_fails)             \
	X(tx_bytes_count)              \
	X(tx_malformed_frames)         \
	X(tx_fails)                    \
	X(tx_count)                    \
	X(tx_packets_count)            \
	X(tx_queue_event_count)        \
	X(tx_rate_limiter_event_count) \
	X(tx_rate_limiter_throttled)   \
	X(tx_spoofed_mac_count)        \
	X(tx_remaining_reqs_count)

struct net_metrics {
#define X(name) counter_t name;
	NET_METRICS(X)
#undef X
	struct latency tap_write_agg; /* of what is sent at once: a frame or a batch */
};
extern const struct metrics_shape net_metrics_shape;

/* Main thread. */
must_check int net_create(const struct net_cfg *cfg, struct vdev **ret, struct err *e);

/*
 * Limits of each direction: one operation a frame, and its bytes. NULL leaves a bucket
 * as it is; a size or a time of 0 takes its limit away. Main thread.
 */
void net_set_rx_limits(struct vdev *dev, const struct rate_cfg *bandwidth,
		       const struct rate_cfg *ops);
void net_set_tx_limits(struct vdev *dev, const struct rate_cfg *bandwidth,
		       const struct rate_cfg *ops);

/*
 * Somebody who takes frames before the back end and adds some to the guest's: the
 * metadata service. All three are called on the loop with the device lock held; frames
 * have no virtio header. Neither direction is limited, and neither meets the back end.
 */
struct net_detour {
	/* First bytes (up to NET_HEAD) of a frame from the guest, copied out. True: it is ours. */
	bool (*wants)(struct net_detour *d, const uint8_t *head, size_t len);
	/* The whole frame, copied out once into the device's buffer; the caller's again after. */
	void (*take)(struct net_detour *d, const uint8_t *frame, size_t len);
	/* The next frame for the guest: its length, 0: none now. */
	size_t (*give)(struct net_detour *d, uint8_t *frame, size_t cap);
};

/*
 * Before the device is activated; not owned, and outlives the device. give() is asked
 * until it has nothing or the guest has no room: after each take(), after every run of
 * the receive queue, and when the guest has added buffers. A detour that has something
 * at another time signals vdev_kick_fd(dev, NET_RX). Main thread.
 */
void net_set_detour(struct vdev *dev, struct net_detour *d);

/* Any thread. */
must_check const struct net_metrics *net_metrics(const struct vdev *dev);
