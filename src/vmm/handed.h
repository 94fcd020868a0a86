/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that somebody with more rights has handed over, each by a name that a
 * request then uses: inherited (--fd NAME=N), or sent to a socket of our own (--fd-sock).
 * They wait here until the machine starts; who uses one takes a duplicate.
 *
 * Main thread.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "conf/id.h"

enum { HANDED_MAX = 32, HANDED_CLIENTS_MAX = 4 };

struct handed;

struct handed_client {
	struct handed *handed;
	struct loop_src src; /* fd is ours; -1: nobody */
};

struct handed {
	unsigned n;
	struct {
		char name[CONF_ID_MAX + 1];
		int fd; /* owned */
	} fd[HANDED_MAX];
	struct loop *loop;	 /* NULL: no socket */
	struct loop_src listen;	 /* fd is ours */
	struct loop_timer retry; /* of it, when there was no descriptor left for a client */
	char path[108];		 /* of the socket; as long as sun_path */
	struct handed_client client[HANDED_CLIENTS_MAX];
};

void handed_init(struct handed *h);

/*
 * Closes all descriptors and the socket, whose file goes too. At the start of the
 * machine, and at the end. May be called again.
 */
void handed_close(struct handed *h);

/* The descriptor is ours after success; one of the same name is replaced. */
must_check int handed_add(struct handed *h, const char *name, int fd, struct err *e);

/* The value of --fd: NAME=N, where N is open. Two of one name are an error. */
must_check int handed_inherit(struct handed *h, const char *text, struct err *e);

/*
 * --fd-sock: a SOCK_SEQPACKET socket at `path' that the user alone may connect to. Each
 * message is a name (1 to 64 letters, digits and underscores) with one descriptor, and
 * is answered by "OK" or by what was wrong with it.
 */
must_check int handed_listen(struct handed *h, const char *path, struct loop *loop, struct err *e);

/* -1: none of that name. Stays ours. */
must_check int handed_find(const struct handed *h, const char *name);
/* NULL: not handed over. */
must_check const char *handed_name_of(const struct handed *h, int fd);
