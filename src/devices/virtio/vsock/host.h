/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Unix sockets of the host's side.
 *
 * A program on the host connects to the device's socket and says `CONNECT <port>\n';
 * `OK <port>\n' comes back when the guest has accepted. A connection that the guest
 * makes to port N goes to the socket `<path>_N'.
 */
#pragma once

#include <sys/stat.h>
#include <sys/un.h>

#include "base/err.h"

enum {
	VSOCK_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path), /* with its NUL */
	VSOCK_LINE_MAX = 32, /* bytes of a CONNECT line, its end included; contract, 3.4 */
};

struct vsock_listener {
	int fd; /* owned; -1: none */
	char path[VSOCK_PATH_MAX];
	dev_t dev; /* of the socket's file: nobody else's is ever removed */
	ino_t ino;
};

/*
 * Binds and listens, non-blocking. A file that is there already is an error, and the
 * text names it; so does every other one. Main thread, before its filter.
 */
must_check int vsock_listen(const char *path, struct vsock_listener *ret, struct err *e);

/* Whether the socket's file is still there and still the listener's. */
must_check bool vsock_listener_there(const struct vsock_listener *l);

/* Closes, and removes the socket's file if it is still the listener's. */
void vsock_unlisten(struct vsock_listener *l);

/* A stream that has been accepted, non-blocking, or -errno; -EAGAIN: none waits. */
must_check int vsock_accept(int listen_fd);

/* A stream to `<path>_<port>', non-blocking, or -errno. */
must_check int vsock_dial(const char *path, uint32_t port);

/*
 * Takes the CONNECT line from a stream and nothing behind it: 1 with its port, 0 when
 * the line has not ended yet, -errno for anything else.
 */
must_check int vsock_greet(int fd, uint32_t *ret_port);

/* A line with its end: 0 or -EINVAL. */
must_check int vsock_parse_connect(const char *line, size_t len, uint32_t *ret_port);
