/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side: streams that come in, say CONNECT, are read, and time out. */
#include <string.h>

#include "base/log.h"
#include "devices/virtio/vsock/device.h"

enum {
	ACCEPT_BUDGET = 16, /* streams in one turn */
	RETRY_MS = 100,
};

static struct vsock *lock_and_enter(struct vsock *v)
{
	vdev_lock(&v->vdev);
	vsock_enter(v);
	return v;
}

static void leave_and_unlock(struct vsock *v)
{
	vsock_leave(v);
	vdev_unlock(&v->vdev);
}

/* --- the listener ------------------------------------------------------------------ */

/* Not one descriptor left, or no memory: looked at again soon, and not before. */
static void rest(struct vsock *v, int r)
{
	counter_inc(&v->metrics.muxer_event_fails);
	log_guest(LOG_WARN, "%s: a connection from the host has to wait: %s", v->vdev.name,
		  strerror(-r));
	loop_modify(v->loop, &v->listener, 0);
	loop_timer_set(v->loop, &v->retry, clock_monotonic() + RETRY_MS * USEC_PER_MSEC);
}

static int accept_one(struct vsock *v)
{
	struct vsock_conn *c;
	int r, fd = vsock_accept(v->listener.fd);

	switch (fd) {
	case -EAGAIN:
		return 0;
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
		rest(v, fd);
		return 0;
	default:
		if (fd < 0) /* of that one connection */
			return 1;
	}
	r = vsock_mux_add(&v->mux, fd, VSOCK_GREETING, &c);
	if (r < 0)
		counter_inc(&v->metrics.muxer_event_fails);
	else
		vsock_mux_settle(&v->mux, c);
	return 1;
}

void vsock_on_listener(struct loop_src *src, uint32_t events)
{
	struct vsock *v = lock_and_enter(container_of(src, struct vsock, listener));
	unsigned n = 0;

	(void)events;
	while (v->active && n < ACCEPT_BUDGET && accept_one(v) > 0)
		n++;
	leave_and_unlock(v);
}

void vsock_on_retry(struct loop_timer *timer)
{
	struct vsock *v = lock_and_enter(container_of(timer, struct vsock, retry));

	if (v->listener.added)
		loop_modify(v->loop, &v->listener, EPOLLIN);
	leave_and_unlock(v);
}

/* --- streams ------------------------------------------------------------------------ */

/* The first line of a stream, or its end. */
static void greet(struct vsock *v, struct vsock_conn *c, uint32_t events)
{
	uint32_t port = 0;
	int r = vsock_greet(c->src.fd, &port);

	if (r == 0 && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		return;
	if (r > 0 && !(events & EPOLLHUP)) {
		c->state = VSOCK_ASKING;
		c->say = VSOCK_SAY_REQUEST;
		vsock_mux_name(&v->mux, c, vsock_mux_port(&v->mux), port);
		return;
	}
	if (r == -EINVAL || r == -EMSGSIZE)
		log_guest(
			LOG_WARN,
			"%s: a connection from the host does not begin with a line `CONNECT <port>'",
			v->vdev.name);
	if (r < 0)
		counter_inc(&v->metrics.conn_event_fails);
	c->state = VSOCK_DEAD;
}

void vsock_on_stream(struct loop_src *src, uint32_t events)
{
	struct vsock_conn *c = container_of(src, struct vsock_conn, src);
	struct vsock *v = lock_and_enter(container_of(c->mux, struct vsock, mux));

	/* Unless the notes have just closed it. */
	if (c->src.added) {
		if (c->state == VSOCK_GREETING)
			greet(v, c, events);
		else
			vsock_conn_from_host(c, events, &v->io);
		vsock_mux_settle(&v->mux, c);
	}
	leave_and_unlock(v);
}

int vsock_connect(struct vsock *v, const struct vsock_hdr *request)
{
	struct vsock_conn *c;
	int r = vsock_dial(v->path, request->dst_port);

	if (r >= 0)
		r = vsock_mux_add(&v->mux, r, VSOCK_OPEN, &c);
	if (r < 0)
		return r;
	c->say = VSOCK_SAY_RESPONSE;
	c->peer_buf = request->buf_alloc;
	vsock_mux_name(&v->mux, c, request->dst_port, request->src_port);
	vsock_mux_settle(&v->mux, c);
	return 0;
}

/* A guest that answers neither a REQUEST nor a SHUTDOWN. */
void vsock_on_late(struct loop_timer *timer)
{
	struct vsock *v = lock_and_enter(container_of(timer, struct vsock, late));
	usec_t now = clock_monotonic();
	struct vsock_conn *c;

	while ((c = vsock_mux_late(&v->mux, now))) {
		counter_inc(&v->metrics.conns_killed);
		vsock_conn_kill(c);
		vsock_mux_settle(&v->mux, c);
	}
	leave_and_unlock(v);
}
