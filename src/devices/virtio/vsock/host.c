/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/host.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/fault.h"

enum { BACKLOG = 128 };

/* --- the listener ------------------------------------------------------------- */

static int make_stream(void)
{
	int fd = FAULT(-EMFILE);

	if (fd < 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

/* What a person can do about it; "": the reason says it all. */
static const char *remedy(int r, const struct sockaddr_un *addr)
{
	autoclose int fd = r == -EADDRINUSE ? make_stream() : -1;
	struct stat st;

	if (r != -EADDRINUSE)
		return "";
	if (fd >= 0 && lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED)
		return "; nobody listens on it: remove the file";
	return "; the file exists: choose another path";
}

/* The file that bind() has just made. */
static int remember(struct vsock_listener *l)
{
	struct stat st;
	int r = FAULT(-EACCES);

	if (r == 0 && lstat(l->path, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

int vsock_listen(const char *path, struct vsock_listener *ret, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct vsock_listener l = { .fd = -1 };
	autoclose int fd = -1;
	int r;

	if (path[0] == '\0' || strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "a socket's path has 1 to %zu characters",
			       sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	memcpy(l.path, addr.sun_path, sizeof(l.path));
	r = fd = make_stream();
	if (r >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "%s: %s (os error %d)%s", path, strerror(-r), -r,
			       remedy(r, &addr));
	r = remember(&l);
	if (r == 0 && (FAULT(-ENOBUFS) < 0 || listen(fd, BACKLOG) < 0))
		r = -ENOBUFS;
	if (r < 0) {
		(void)unlink(path);
		return err_set(e, ERR_INTERNAL, r, "%s: %s (os error %d)", path, strerror(-r), -r);
	}
	*ret = l;
	ret->fd = take_fd(&fd);
	return 0;
}

bool vsock_listener_there(const struct vsock_listener *l)
{
	struct stat st;

	return l->fd >= 0 && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	       st.st_ino == l->ino && S_ISSOCK(st.st_mode);
}

void vsock_unlisten(struct vsock_listener *l)
{
	if (vsock_listener_there(l))
		(void)unlink(l->path);
	fd_close_(&l->fd);
	l->fd = -1;
}

/* --- streams ------------------------------------------------------------------ */

int vsock_accept(int listen_fd)
{
	int fd = FAULT(-EMFILE);

	if (fd < 0)
		return fd;
	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vsock_dial(const char *path, uint32_t port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	autoclose int fd = -1;
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", path, port);

	if (len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = make_stream();
	if (fd < 0)
		return fd;
	/* A listener whose queue is full says -EAGAIN: that is a refusal too. */
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* --- CONNECT ------------------------------------------------------------------- */

struct word {
	const char *s;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of [*at, end); of no length when there is none. */
static struct word next_word(const char **at, const char *end)
{
	struct word w;

	while (*at < end && is_space(**at))
		(*at)++;
	w.s = *at;
	while (*at < end && !is_space(**at))
		(*at)++;
	w.len = (size_t)(*at - w.s);
	return w;
}

/* Decimal digits, at most UINT32_MAX; a plus sign may be before them. */
static int parse_port(struct word w, uint32_t *ret_port)
{
	uint64_t port = 0;

	if (w.len > 1 && w.s[0] == '+') {
		w.s++;
		w.len--;
	}
	if (w.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < w.len; i++) {
		if (w.s[i] < '0' || w.s[i] > '9')
			return -EINVAL;
		port = port * 10 + (uint64_t)(w.s[i] - '0');
		if (port > UINT32_MAX)
			return -EINVAL;
	}
	*ret_port = (uint32_t)port;
	return 0;
}

int vsock_parse_connect(const char *line, size_t len, uint32_t *ret_port)
{
	static const char keyword[] = "connect";
	const char *end = line + len;
	struct word verb = next_word(&line, end);
	struct word port = next_word(&line, end);

	if (verb.len != sizeof(keyword) - 1 || strncasecmp(verb.s, keyword, verb.len) != 0)
		return -EINVAL;
	return parse_port(port, ret_port);
}

int vsock_greet(int fd, uint32_t *ret_port)
{
	char line[VSOCK_LINE_MAX];
	ssize_t n = FAULT(-EIO) < 0 ? -1 : recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	const char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EIO;
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return n == 0 ? -ENODATA : n == sizeof(line) ? -EMSGSIZE : 0;
	/* The line and not a byte more: what follows it is the guest's. */
	n = end + 1 - line;
	if (recv(fd, line, (size_t)n, MSG_DONTWAIT) != n)
		return -EIO;
	return vsock_parse_connect(line, (size_t)n, ret_port) < 0 ? -EINVAL : 1;
}
