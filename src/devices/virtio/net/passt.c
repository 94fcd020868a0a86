/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received bytes pass through a buffer, because where a frame begins only the bytes
 * before it tell: one call takes many small frames, and each is copied once. Frames of
 * the guest go from its memory; what the socket does not take of one is copied and goes
 * before anything newer.
 */
#include "devices/virtio/net/passt.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fault.h"
#include "base/log.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/virtq.h"

enum { PREFIX = 4, UNIT = PREFIX + PASST_FRAME_MAX };
static_assert((int)NET_HDR + (int)PASST_FRAME_MAX <= (int)NET_FRAME_MAX, "it fits the device");

struct passt {
	struct net_backend backend;
	struct sockaddr_un addr;
	struct loop_timer retry;
	unsigned retry_ms;	/* the next wait */
	usec_t since;		/* of the connection */
	size_t in_at, in_end;	/* of in[]: received and not given to the device */
	size_t out_at, out_end; /* of out[]: taken from the device and not sent */
	struct iovec iov[VIRTQ_IOV_MAX + 1];
	uint8_t in[2 * UNIT];
	uint8_t out[UNIT];
};

static struct passt *passt_of(struct net_backend *b)
{
	return container_of(b, struct passt, backend);
}

/* --- the connection ---------------------------------------------------------------- */

static int connect_to(const struct sockaddr_un *addr)
{
	autoclose int fd = FAULT(-ECONNREFUSED);

	if (fd == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int address_of(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, strlen(path));
	return 0;
}

int net_passt_open(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un addr;
	int fd = address_of(path, &addr);

	if (fd == 0)
		fd = connect_to(&addr);
	if (fd < 0)
		return err_set(e, ERR_INVALID, fd,
			       "socket_path: %s: %s; passt must be running (passt --socket PATH) "
			       "and serve nobody else",
			       strerror(-fd), path);
	*ret_fd = fd;
	return 0;
}

static void retry_later(struct passt *p)
{
	usec_t wait = p->retry_ms * USEC_PER_MSEC;

	p->retry_ms = 2 * p->retry_ms < PASST_RETRY_MAX_MS ? 2 * p->retry_ms : PASST_RETRY_MAX_MS;
	loop_timer_set(p->backend.loop, &p->retry, clock_monotonic() + wait);
}

static void disconnect(struct passt *p, const char *why)
{
	log_guest(LOG_WARN, "%s: %s; connecting again", p->addr.sun_path, why);
	net_backend_detach(&p->backend);
	fd_close_(&p->backend.src.fd);
	p->backend.src.fd = -1;
	p->in_at = p->in_end = p->out_at = p->out_end = 0;
	/* Who ends it at once, as passt does when it has somebody else, is not asked so often. */
	if (clock_monotonic() >= p->since + PASST_RETRY_MAX_MS * USEC_PER_MSEC)
		p->retry_ms = PASST_RETRY_MS;
	retry_later(p);
	net_on_link(&p->backend, false);
}

static int reconnect(struct passt *p)
{
	int r, fd = connect_to(&p->addr);

	if (fd < 0)
		return fd;
	p->backend.src.fd = fd;
	p->since = clock_monotonic();
	r = net_backend_attach(&p->backend);
	if (r < 0) {
		fd_close_(&p->backend.src.fd);
		p->backend.src.fd = -1;
	}
	return r;
}

static void on_retry(struct loop_timer *timer)
{
	struct passt *p = container_of(timer, struct passt, retry);

	net_lock(&p->backend);
	if (reconnect(p) < 0) {
		retry_later(p);
	} else {
		log_info("%s: connected again", p->addr.sun_path);
		net_on_link(&p->backend, true);
	}
	net_unlock(&p->backend);
}

/* --- frames ------------------------------------------------------------------------- */

static size_t length_at(const uint8_t *at)
{
	return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* The length of the frame that is there whole; 0: more has to come; -EPROTO. */
static ssize_t whole_frame(const struct passt *p)
{
	size_t have = p->in_end - p->in_at, len;

	if (have < PREFIX)
		return 0;
	len = length_at(p->in + p->in_at);
	if (len < NET_ETH || len > PASST_FRAME_MAX)
		return -EPROTO;
	return have - PREFIX < len ? 0 : (ssize_t)len;
}

/* Appends to in[], which has room, for what is there is no whole frame. */
static ssize_t receive(struct passt *p)
{
	ssize_t n = FAULT(-ECONNRESET);

	if (p->in_at > 0) {
		memmove(p->in, p->in + p->in_at, p->in_end - p->in_at);
		p->in_end -= p->in_at;
		p->in_at = 0;
	}
	if (n == 0) {
		n = recv(p->backend.src.fd, p->in + p->in_end, sizeof(p->in) - p->in_end,
			 MSG_DONTWAIT);
		n = n < 0 ? -errno : n;
	}
	if (n > 0)
		p->in_end += (size_t)n;
	return n;
}

static ssize_t passt_recv(struct net_backend *b, const struct iovec *iov, unsigned n)
{
	struct passt *p = passt_of(b);
	ssize_t len, got;

	if (b->src.fd < 0)
		return -EAGAIN;
	len = whole_frame(p);
	if (len == 0) {
		got = receive(p);
		if (got == -EAGAIN || got == -EINTR)
			return -EAGAIN;
		if (got <= 0) {
			disconnect(p, got < 0 ? strerror((int)-got) : "closed by the other side");
			return -EAGAIN;
		}
		len = whole_frame(p);
	}
	if (len < 0) {
		disconnect(p, "sent a length that no frame has");
		return -EAGAIN;
	}
	if (len == 0)
		return -EAGAIN;
	iov_copy_in(iov, n, NET_HDR, p->in + p->in_at + PREFIX, (size_t)len);
	p->in_at += PREFIX + (size_t)len;
	return NET_HDR + len;
}

/* What a send() of several bytes did: bytes, -EAGAIN, or -ENOLINK with the link down. */
static ssize_t send_to(struct passt *p, const struct iovec *iov, unsigned n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	ssize_t done = FAULT(-EPIPE);

	if (done == 0) {
		done = sendmsg(p->backend.src.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		done = done < 0 ? -errno : done;
	}
	if (done == -EINTR)
		return -EAGAIN;
	if (done < 0 && done != -EAGAIN) {
		disconnect(p, strerror((int)-done));
		return -ENOLINK;
	}
	return done;
}

static int passt_flush(struct net_backend *b)
{
	struct passt *p = passt_of(b);
	struct iovec rest = { p->out + p->out_at, p->out_end - p->out_at };
	ssize_t n;

	if (rest.iov_len == 0)
		return 0;
	n = send_to(p, &rest, 1);
	if (n < 0)
		return (int)n;
	p->out_at += (size_t)n;
	return p->out_at < p->out_end ? -EAGAIN : 0;
}

static int passt_send(struct net_backend *b, const struct iovec *iov, unsigned n, size_t len)
{
	size_t frame = len - NET_HDR;
	const uint8_t prefix[PREFIX] = { 0, (uint8_t)(frame >> 16), (uint8_t)(frame >> 8),
					 (uint8_t)frame };
	struct passt *p = passt_of(b);
	ssize_t done;
	int r;

	if (b->src.fd < 0)
		return -ENOLINK;
	if (frame > PASST_FRAME_MAX)
		return -EMSGSIZE;
	r = passt_flush(b);
	if (r < 0)
		return r;
	p->iov[0] = (struct iovec){ (void *)(uintptr_t)prefix, PREFIX };
	n = 1 + iov_slice(iov, n, NET_HDR, frame, p->iov + 1);
	done = send_to(p, p->iov, n);
	if (done < 0)
		return (int)done;
	p->out_at = (size_t)done;
	p->out_end = PREFIX + frame;
	if (p->out_at == p->out_end)
		return 0;
	iov_copy_out(p->iov, n, p->out_at, p->out + p->out_at, p->out_end - p->out_at);
	return 1;
}

static int passt_begin(struct net_backend *b, uint64_t acked, bool anew)
{
	(void)acked;
	(void)anew;
	if (b->src.fd >= 0)
		return net_backend_attach(b);
	return 0;
}

static void passt_broken(struct net_backend *b)
{
	if (b->src.fd >= 0)
		disconnect(passt_of(b), "closed by the other side");
}

static void passt_destroy(struct net_backend *b)
{
	struct passt *p = passt_of(b);

	if (b->loop)
		loop_timer_cancel(b->loop, &p->retry);
	net_backend_detach(b);
	fd_close_(&b->src.fd);
	free(p);
}

static const struct net_backend_class passt_class = {
	.name = "passt",
	.knows_link = true,
	.begin = passt_begin,
	.send = passt_send,
	.flush = passt_flush,
	.recv = passt_recv,
	.broken = passt_broken,
	.destroy = passt_destroy,
};

int net_passt_create(int fd, const char *path, struct net_backend **ret, struct err *e)
{
	autofree struct passt *p = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "passt: no memory");
	net_backend_init(&p->backend, &passt_class, fd);
	p->retry.fn = on_retry;
	p->retry_ms = PASST_RETRY_MS;
	p->since = clock_monotonic();
	r = address_of(path, &p->addr);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "socket_path: %s: %s", strerror(-r), path);
	*ret = &take_ptr(&p)->backend;
	return 0;
}
