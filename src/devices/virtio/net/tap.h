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
