/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap as a back end: its frames carry the virtio header, so that checksums and
 * segmentation are left to whoever can do them best.
 *
 * Main thread.
 */
#pragma once

#include "devices/virtio/net/backend.h"

/*
 * The tap of that name, made by the kernel if there is none and the caller may. One
 * queue of it; a tap that was made for several is content with one user. The error names
 * the tap and what helps.
 */
must_check int net_tap_open(const char *name, int *ret_fd, struct err *e);

/*
 * Makes sure that an inherited descriptor is a tap with virtio headers, and prepares it
 * as net_tap_open() does; that it has no packet information (IFF_NO_PI) cannot be seen.
 * It stays the caller's.
 */
must_check int net_tap_adopt(int fd, struct err *e);

/* The descriptor is the back end's after success. */
must_check int net_tap_create(int fd, struct net_backend **ret, struct err *e);

/*
 * Whether the kernel can write to this tap without ever waiting, whoever changes the
 * descriptor's flags: what uring_chain() needs. Linux 6.4 and later.
 */
must_check bool net_tap_never_waits(int fd);

/*
 * Several frames at once go through the ring from now on, which is one for chains of
 * NET_BATCH, stays the caller's, and may be that of other taps of the same loop.
 */
void net_tap_set_ring(struct net_backend *b, struct uring *ring);
