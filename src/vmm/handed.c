/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/handed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fault.h"

enum { BACKLOG = 4, MESSAGES_PER_TURN = 8, FIRST_OF_OURS = 3, RETRY_MS = 100 };

/* --- the names --------------------------------------------------------------------- */

void handed_init(struct handed *h)
{
	*h = (struct handed){ .listen.fd = -1 };
	for (unsigned i = 0; i < HANDED_CLIENTS_MAX; i++)
		h->client[i] = (struct handed_client){ .handed = h, .src.fd = -1 };
}

static void drop_client(struct handed_client *c)
{
	loop_remove(c->handed->loop, &c->src);
	fd_close_(&c->src.fd);
	c->src.fd = -1;
}

static void close_socket(struct handed *h)
{
	if (!h->loop)
		return;
	for (unsigned i = 0; i < HANDED_CLIENTS_MAX; i++)
		if (h->client[i].src.fd >= 0)
			drop_client(&h->client[i]);
	loop_timer_cancel(h->loop, &h->retry);
	loop_remove(h->loop, &h->listen);
	fd_close_(&h->listen.fd);
	h->listen.fd = -1;
	(void)unlink(h->path);
	h->loop = NULL;
}

void handed_close(struct handed *h)
{
	close_socket(h);
	while (h->n > 0)
		fd_close_(&h->fd[--h->n].fd);
}

static unsigned index_of(const struct handed *h, const char *name)
{
	unsigned i = 0;

	while (i < h->n && strcmp(h->fd[i].name, name) != 0)
		i++;
	return i;
}

int handed_find(const struct handed *h, const char *name)
{
	unsigned i = index_of(h, name);

	return i < h->n ? h->fd[i].fd : -1;
}

const char *handed_name_of(const struct handed *h, int fd)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->fd[i].fd == fd)
			return h->fd[i].name;
	return NULL;
}

int handed_add(struct handed *h, const char *name, int fd, struct err *e)
{
	unsigned i = index_of(h, name);
	int r = conf_id_check(name, e);

	if (r < 0)
		return r;
	if (i == HANDED_MAX)
		return err_set(e, ERR_INVALID, -ENOSPC,
			       "`%s' is one descriptor more than the %d that can be handed over",
			       name, HANDED_MAX);
	if (i < h->n) {
		fd_close_(&h->fd[i].fd);
	} else {
		snprintf(h->fd[i].name, sizeof(h->fd[i].name), "%s", name);
		h->n++;
	}
	h->fd[i].fd = fd;
	return 0;
}

/* The number behind the `='; -EINVAL. */
static int read_number(const char *text)
{
	int n = 0;

	if (text[0] == '\0' || strlen(text) > 9)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = 10 * n + (*text - '0');
	}
	return n;
}

int handed_inherit(struct handed *h, const char *text, struct err *e)
{
	const char *is = strchr(text, '=');
	char name[CONF_ID_MAX + 2];
	int fd = is ? read_number(is + 1) : -EINVAL;

	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "`%.80s' is not NAME=NUMBER", text);
	snprintf(name, sizeof(name), "%.*s", (int)(is - text), text);
	if (handed_find(h, name) >= 0)
		return err_set(e, ERR_INVALID, -EEXIST, "`%s' is given twice", name);
	if (fd < FIRST_OF_OURS)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "`%s': descriptors 0 to 2 are the console's and the log's", text);
	/* It would be closed twice, the second time as somebody else's. */
	if (handed_name_of(h, fd))
		return err_set(e, ERR_INVALID, -EEXIST, "`%.80s': descriptor %d is `%s' already",
			       text, fd, handed_name_of(h, fd));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_set(e, ERR_INVALID, -errno, "`%.80s': descriptor %d: %s", text, fd,
			       strerror(errno));
	return handed_add(h, name, fd, e);
}

/* --- the socket --------------------------------------------------------------------- */

static void reply(const struct handed_client *c, const char *text)
{
	/* Who does not read the answers goes without. */
	(void)!send(c->src.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The descriptors that came with a message: the only one, or -1 with all of them closed. */
static int take_one(struct msghdr *msg)
{
	int one = -1;
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(one) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(one)) {
			fd_close_(&one);
			memcpy(&one, CMSG_DATA(c) + at, sizeof(one));
			n++;
		}
	}
	if (n != 1 || msg->msg_flags & MSG_CTRUNC) {
		fd_close_(&one);
		return -1;
	}
	return one;
}

/* One message. False: there is none, or the client has gone. */
static bool take_message(struct handed_client *c)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
	char name[CONF_ID_MAX + 2] = "";
	struct iovec iov = { name, sizeof(name) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(c->src.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct err e = { 0 };
	int fd;

	if (n < 0 && errno == EAGAIN)
		return false;
	/* A message of no bytes is one if something came with it, else it is the end. */
	if (n < 0 || (n == 0 && msg.msg_controllen == 0)) {
		drop_client(c);
		return false;
	}
	name[n] = '\0';
	fd = take_one(&msg);
	if (fd < 0 || strlen(name) != (size_t)n) {
		fd_close_(&fd);
		reply(c, "a message must be a name and one descriptor");
	} else if (handed_add(c->handed, name, fd, &e) < 0) {
		fd_close_(&fd);
		reply(c, e.msg);
	} else {
		reply(c, "OK");
	}
	return true;
}

static void on_client(struct loop_src *src, uint32_t events)
{
	struct handed_client *c = container_of(src, struct handed_client, src);

	(void)events;
	for (unsigned i = 0; i < MESSAGES_PER_TURN && take_message(c); i++)
		;
}

static void on_retry(struct loop_timer *timer)
{
	struct handed *h = container_of(timer, struct handed, retry);

	loop_modify(h->loop, &h->listen, EPOLLIN);
}

static void on_connect(struct loop_src *src, uint32_t events)
{
	struct handed *h = container_of(src, struct handed, listen);
	int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		/* Of that one client, or none is left for it: then the loop does not spin. */
		loop_modify(h->loop, src, 0);
		loop_timer_set(h->loop, &h->retry, clock_monotonic() + RETRY_MS * USEC_PER_MSEC);
		return;
	}
	for (unsigned i = 0; i < HANDED_CLIENTS_MAX; i++) {
		struct handed_client *c = &h->client[i];

		if (c->src.fd >= 0)
			continue;
		c->src = (struct loop_src){ .fd = fd, .events = EPOLLIN, .fn = on_client };
		if (loop_add(h->loop, &c->src) < 0)
			drop_client(c);
		return;
	}
	close(fd); /* enough of them: the client sees the end of the connection */
}

/* A bound and listening socket at the path, or -errno. */
static int open_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	autoclose int fd = FAULT(-EMFILE);
	mode_t mask;
	int r;

	if (fd == 0) {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return fd;
	memcpy(addr.sun_path, path, strlen(path));
	mask = umask(S_IRWXG | S_IRWXO);
	r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	r = FAULT(-ENOBUFS);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	return take_fd(&fd);
}

int handed_listen(struct handed *h, const char *path, struct loop *loop, struct err *e)
{
	int r, fd = path[0] == '\0' || strlen(path) >= sizeof(h->path) ? -EINVAL
								       : open_socket(path);

	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "--fd-sock: %s: %s%s", strerror(-fd), path,
			       fd == -EADDRINUSE ? " (a socket of an earlier run? remove it)" : "");
	h->listen = (struct loop_src){ .fd = fd, .events = EPOLLIN, .fn = on_connect };
	h->retry = (struct loop_timer){ .fn = on_retry };
	snprintf(h->path, sizeof(h->path), "%s", path);
	h->loop = loop;
	r = loop_add(loop, &h->listen);
	if (r == 0)
		return 0;
	close_socket(h);
	return err_set(e, ERR_INTERNAL, r, "--fd-sock: epoll: %s", strerror(-r));
}
