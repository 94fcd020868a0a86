/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process on a Unix stream socket as a back end, as passt offers it: each frame goes
 * behind its length, 4 bytes, most significant first. No root is needed and no tap, and
 * no offload is possible.
 *
 * The other side may end and come back: the link goes down, and connecting is tried
 * again, after PASST_RETRY_MS at first, then less and less often, also when it is accepted
 * and ended at once. A length that no frame has ends the connection too, because nothing
 * after it can be trusted.
 *
 * Main thread.
 */
#pragma once

#include "devices/virtio/net/backend.h"

enum {
	PASST_FRAME_MAX = NET_ETH + 65535, /* bytes behind a length */
	PASST_RETRY_MS = 100,
	PASST_RETRY_MAX_MS = 5000,
};

/* Connects. The error names the path and what helps. */
must_check int net_passt_open(const char *path, int *ret_fd, struct err *e);

/* The descriptor is the back end's after success; the path is copied. */
must_check int net_passt_create(int fd, const char *path, struct net_backend **ret, struct err *e);
