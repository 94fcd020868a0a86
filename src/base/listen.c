/* SPDX-License-Identifier: Apache-2.0 */
#include "base/listen.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fault.h"

static int make_socket(void)
{
	int fd = FAULT(-EMFILE);

	if (fd < 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

static int bind_and_listen(struct listen_sock *sock, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int r = FAULT(-EACCES);

	memcpy(addr.sun_path, sock->path, sizeof(addr.sun_path));
	if (r == 0 && bind(sock->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (lstat(sock->path, &st) == 0) {
		sock->dev = st.st_dev;
		sock->ino = st.st_ino;
	}
	r = FAULT(-ENOBUFS);
	if (r == 0 && listen(sock->fd, backlog) < 0)
		r = -errno;
	return r;
}

int listen_open(struct listen_sock *ret, const char *path, int backlog, struct err *e)
{
	struct listen_sock sock = { .fd = -1 };
	size_t len = strlen(path);
	int r;

	if (len == 0) /* the kernel would take it for an abstract name */
		return err_set(e, ERR_INVALID, -EINVAL, "the path of the socket is empty");
	if (len >= sizeof(sock.path))
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "the path has %zu bytes; a Unix socket's path may have %zu", len,
			       sizeof(sock.path) - 1);
	memcpy(sock.path, path, len + 1);
	sock.fd = make_socket();
	r = sock.fd < 0 ? sock.fd : bind_and_listen(&sock, backlog);
	if (r < 0)
		listen_close(&sock);
	if (r == -EADDRINUSE)
		return err_set(e, ERR_INVALID, r, "%s exists; remove it if nobody listens there",
			       path);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "%s: %s", strerror(-r), path);
	*ret = sock;
	return 0;
}

void listen_close(struct listen_sock *sock)
{
	struct stat st;

	if (sock->fd < 0)
		return;
	if (sock->ino != 0 && lstat(sock->path, &st) == 0 && st.st_dev == sock->dev &&
	    st.st_ino == sock->ino)
		(void)unlink(sock->path);
	close(sock->fd);
	sock->fd = -1;
}
