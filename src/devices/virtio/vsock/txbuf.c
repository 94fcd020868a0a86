/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/txbuf.h"

#include <sys/socket.h>

#include "base/fault.h"
#include "devices/virtio/iov.h"

void vsock_txbuf_put(struct vsock_txbuf *b, const struct iovec *iov, unsigned n, uint64_t off,
		     uint32_t len)
{
	uint32_t at = (b->head + b->len) % VSOCK_TXBUF_SIZE;
	uint32_t part = VSOCK_TXBUF_SIZE - at < len ? VSOCK_TXBUF_SIZE - at : len;

	assert(len <= VSOCK_TXBUF_SIZE - b->len);
	if (len == 0)
		return;
	iov_copy_out(iov, n, off, b->mem + at, part);
	iov_copy_out(iov, n, off + part, b->mem, len - part);
	b->len += len;
	b->touched = true;
}

ssize_t vsock_txbuf_flush(struct vsock_txbuf *b, int fd)
{
	uint32_t part = VSOCK_TXBUF_SIZE - b->head < b->len ? VSOCK_TXBUF_SIZE - b->head : b->len;
	struct iovec iov[2] = { { .iov_base = b->mem + b->head, .iov_len = part },
				{ .iov_base = b->mem, .iov_len = b->len - part } };
	ssize_t n = vsock_send(fd, iov, b->len > part ? 2 : 1);

	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	b->head = (b->head + (uint32_t)n) % VSOCK_TXBUF_SIZE;
	b->len -= (uint32_t)n;
	return n;
}

ssize_t vsock_send(int fd, struct iovec *iov, unsigned n)
{
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t r = FAULT(-ECONNRESET);

	while (r == 0) {
		r = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r >= 0)
			break;
		r = errno == EINTR ? 0 : -errno; /* a signal before the first byte */
	}
	return r;
}
