/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in the output are counted from the first byte there ever was. A client waits
 * for EPOLLOUT exactly while it has not got everything: all others are at `total'.
 */
#include "devices/console.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fault.h"
#include "base/listen.h"

enum { BACKLOG = 16, ACCEPTS_PER_TURN = 4, RETRY_MS = 100 };

struct client {
	struct loop_src src; /* fd -1: the slot is free */
	struct console *console;
	uint64_t at; /* next byte to send */
};

struct console {
	struct serial_sink sink;
	struct listen_sock sock; /* owned */
	struct loop *loop;
	struct loop_src accept_src;
	struct loop_timer retry; /* of it, when there was no descriptor left for a client */
	struct serial *serial;	 /* the machine's; NULL: none */
	struct client clients[CONSOLE_CLIENTS];
	struct client *writer; /* one of the clients; NULL: none */
	uint64_t total;	       /* bytes of output so far */
	struct console_metrics metrics;
	struct metrics_group group;
	uint8_t ring[CONSOLE_RING];
};

/* --- the writer ------------------------------------------------------------- */

/*
 * The port reads by a descriptor of its own: both of us wait for events of the same
 * socket. Without one, a client that cannot type is all that is lost.
 */
static void give_input(struct console *c)
{
	int fd;

	if (!c->serial || !c->writer)
		return;
	fd = FAULT(-EMFILE);
	if (fd == 0)
		fd = fcntl(c->writer->src.fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		serial_set_input(c->serial, fd);
}

void console_attach(struct console *c, struct serial *serial)
{
	c->serial = serial;
	give_input(c);
}

/* --- clients ---------------------------------------------------------------- */

static void drop(struct client *client)
{
	struct console *c = client->console;

	if (client->src.fd < 0)
		return;
	loop_remove(c->loop, &client->src);
	if (c->writer == client) {
		c->writer = NULL;
		if (c->serial)
			serial_set_input(c->serial, -1);
	}
	close(client->src.fd);
	client->src.fd = -1;
}

/* Sends what follows in the ring, once; bytes or -errno. */
static ssize_t send_part(struct client *client)
{
	struct console *c = client->console;
	size_t at = client->at % CONSOLE_RING;
	size_t n = c->total - client->at;
	ssize_t r = FAULT(-EPIPE);

	if (r < 0)
		return r;
	if (n > CONSOLE_RING - at)
		n = CONSOLE_RING - at;
	r = send(client->src.fd, c->ring + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return r < 0 ? -errno : r;
}

/* As much as the client takes in two sends: from its place to the ring's end, and on. */
static void serve(struct client *client)
{
	struct console *c = client->console;
	ssize_t r = 0;

	for (int i = 0; i < 2 && r >= 0 && client->at < c->total; i++) {
		r = send_part(client);
		if (r > 0)
			client->at += (uint64_t)r;
	}
	if (r < 0 && r != -EAGAIN && r != -EINTR)
		drop(client);
	else
		loop_modify(c->loop, &client->src, client->at < c->total ? EPOLLOUT : 0);
}

/* A client that sends no more may still listen; one that has closed hangs up. */
static void on_client(struct loop_src *src, uint32_t events)
{
	struct client *client = container_of(src, struct client, src);

	if (events & (EPOLLHUP | EPOLLERR))
		drop(client);
	else
		serve(client);
}

/* Who has just left makes room, the writer for a writer, before who comes is looked at. */
static void sweep(struct console *c)
{
	struct pollfd polled[CONSOLE_CLIENTS]; /* a negative descriptor is passed over */

	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		polled[i] = (struct pollfd){ .fd = c->clients[i].src.fd };
	if (poll(polled, CONSOLE_CLIENTS, 0) <= 0)
		return;
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		if (polled[i].revents & (POLLHUP | POLLERR))
			drop(&c->clients[i]);
}

static void welcome(struct console *c, int fd)
{
	struct client *client = NULL;

	sweep(c);
	for (unsigned i = 0; i < CONSOLE_CLIENTS && !client; i++)
		if (c->clients[i].src.fd < 0)
			client = &c->clients[i];
	if (!client) {
		counter_inc(&c->metrics.clients_refused);
		close(fd);
		return;
	}
	client->src = (struct loop_src){ .fd = fd, .fn = on_client };
	if (loop_add(c->loop, &client->src) < 0) {
		counter_inc(&c->metrics.clients_refused);
		close(fd);
		client->src.fd = -1;
		return;
	}
	counter_inc(&c->metrics.clients);
	client->at = c->total > CONSOLE_RING ? c->total - CONSOLE_RING : 0;
	if (!c->writer) {
		c->writer = client;
		give_input(c);
	}
	serve(client);
}

static void on_retry(struct loop_timer *timer)
{
	struct console *c = container_of(timer, struct console, retry);

	loop_modify(c->loop, &c->accept_src, EPOLLIN);
}

/* Whether none is left: then the loop must not spin about who waits. */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_accept(struct loop_src *src, uint32_t events)
{
	struct console *c = container_of(src, struct console, accept_src);

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = FAULT(-EMFILE);

		if (fd == 0) {
			fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			fd = fd < 0 ? -errno : fd;
		}
		if (is_shortage(-fd)) {
			loop_modify(c->loop, src, 0);
			loop_timer_set(c->loop, &c->retry,
				       clock_monotonic() + RETRY_MS * USEC_PER_MSEC);
		}
		if (fd < 0)
			return;
		welcome(c, fd);
	}
}

/* --- output ------------------------------------------------------------------ */

static void keep(struct console *c, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t at = c->total % CONSOLE_RING;
		size_t n = len < CONSOLE_RING - at ? len : CONSOLE_RING - at;

		memcpy(c->ring + at, data, n);
		c->total += n;
		data += n;
		len -= n;
	}
}

static void take(struct serial_sink *sink, const struct iovec *iov, unsigned niov)
{
	struct console *c = container_of(sink, struct console, sink);

	for (unsigned i = 0; i < niov; i++)
		keep(c, iov[i].iov_base, iov[i].iov_len);
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++) {
		struct client *client = &c->clients[i];

		if (client->src.fd < 0)
			continue;
		if (c->total - client->at > CONSOLE_RING) {
			counter_inc(&c->metrics.clients_dropped);
			drop(client);
		} else if (!(client->src.events & EPOLLOUT)) {
			serve(client);
		}
	}
}

/* --- life -------------------------------------------------------------------- */

static int start(struct console *c, const char *path, struct err *e)
{
	int r = listen_open(&c->sock, path, BACKLOG, e);

	if (r < 0)
		return r;
	c->accept_src = (struct loop_src){ .fd = c->sock.fd, .events = EPOLLIN, .fn = on_accept };
	r = loop_add(c->loop, &c->accept_src);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "the socket cannot be polled: %s", strerror(-r));
	return 0;
}

static const char *const names[] = { CONSOLE_METRICS(METRICS_NAME) };

const struct metrics_shape console_metrics_shape =
	METRICS_SHAPE("console", names, struct console_metrics, .ours = true);

int console_create(const char *path, struct loop *loop, struct console **ret, struct err *e)
{
	struct console *c = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory for the console");
	c->sink.take = take;
	c->retry.fn = on_retry;
	c->loop = loop;
	c->sock.fd = -1;
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++) {
		c->clients[i].src.fd = -1;
		c->clients[i].console = c;
	}
	c->group = (struct metrics_group){ .shape = &console_metrics_shape,
					   .counters = &c->metrics };
	r = metrics_add(&c->group);
	r = r < 0 ? err_set(e, ERR_INTERNAL, r, "out of memory for the console's metrics")
		  : start(c, path, e);
	if (r < 0) {
		console_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		drop(&c->clients[i]);
	loop_timer_cancel(c->loop, &c->retry);
	loop_remove(c->loop, &c->accept_src);
	listen_close(&c->sock);
	metrics_remove(&c->group);
	free(c);
}

const char *console_path(const struct console *c)
{
	return c->sock.path;
}

struct serial_sink *console_sink(struct console *c)
{
	return &c->sink;
}

const struct console_metrics *console_metrics(const struct console *c)
{
	return &c->metrics;
}
