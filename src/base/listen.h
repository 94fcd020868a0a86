/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening Unix stream socket at a path, which goes when the socket is closed. The
 * umask rules its mode.
 */
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include "base/cc.h"
#include "base/err.h"

struct listen_sock {
	int fd; /* owned; -1: none. Non-blocking, close-on-exec */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev; /* of the path, while it is ours */
	ino_t ino;
};

/* What exists at the path is an error and left alone. On error there is nothing to close. */
must_check int listen_open(struct listen_sock *ret, const char *path, int backlog, struct err *e);

/* Removes the path too, if it still leads to this socket. No-op for one that is not open. */
void listen_close(struct listen_sock *sock);
