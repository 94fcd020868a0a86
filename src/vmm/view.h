/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a GET sees: the state and configuration as ready JSON text, immutable.
 *
 * The main thread publishes a new view after each action; any thread takes the
 * newest and keeps it as long as it likes. So `GET /' never waits for an action.
 */
#pragma once

#include <pthread.h>

#include "base/cc.h"

struct view {
	unsigned refs;		    /* (A) */
	const char *instance;	    /* GET / */
	const char *machine_config; /* GET /machine-config */
	const char *vm_config;	    /* GET /vm/config */
	const char *mmds;	    /* GET /mmds; NULL: there is no data store */
	char text[];		    /* what these point into */
};

struct view_texts { /* of the same names */
	const char *instance, *machine_config, *vm_config, *mmds;
};

struct view_board {
	pthread_mutex_t lock;
	struct view *newest; /* (L) one reference */
};

void view_board_init(struct view_board *board);
void view_board_fini(struct view_board *board);

/* Copies the texts into a view and makes it the newest; -ENOMEM keeps the old one. */
must_check int view_publish(struct view_board *board, const struct view_texts *texts);

/*
 * A view of the caller's own, with room for a text of len bytes and nothing in it: for
 * replies that are made when they are asked for. Give it back with view_put(). NULL: no
 * memory.
 */
must_check struct view *view_create(size_t len);

/* The newest view, never NULL after the first view_publish(). Give it back with view_put(). */
struct view *view_get(struct view_board *board);
void view_put(struct view *view);
