/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest has sent and its peer on the host has not yet taken: a ring of
 * bytes in memory of the owner's, VSOCK_TXBUF_SIZE of them. The guest is told this
 * size as its credit, so a guest that keeps to it never meets a full buffer.
 */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "base/cc.h"

enum { VSOCK_TXBUF_SIZE = 64 * 1024 }; /* contract, 3.4 */

struct vsock_txbuf {
	uint8_t *mem; /* the owner's */
	uint32_t head, len;
	bool touched; /* memory has been written to since the owner last cleaned it */
};

/* Copies bytes [off, off + len) of the segments in. The caller knows that they fit. */
void vsock_txbuf_put(struct vsock_txbuf *b, const struct iovec *iov, unsigned n, uint64_t off,
		     uint32_t len);

/* Sends what the socket takes now: how much that was, or -errno; never -EAGAIN. */
must_check ssize_t vsock_txbuf_flush(struct vsock_txbuf *b, int fd);

/* Sends segments on a stream without blocking and without SIGPIPE: bytes or -errno. */
must_check ssize_t vsock_send(int fd, struct iovec *iov, unsigned n);
