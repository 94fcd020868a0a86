/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: one thread, `fc_api', that serves HTTP on a Unix socket.
 *
 * GETs are answered from the vmm's newest view. Everything else becomes an action: the
 * thread submits it, suspends the connection and answers when the main thread has
 * called the action's `done'. An action belongs to no connection: a client may go away
 * while it runs, and the answer is dropped then.
 */
#pragma once

#include "base/err.h"

struct api;
struct api_metrics;
struct isolation;
struct vmm;

struct api_cfg {
	const char *sock_path;		   /* kept by reference */
	size_t max_payload;		   /* bytes of a request's body */
	const struct isolation *isolation; /* kept by reference; NULL: unconfined (tests) */
	struct vmm *vmm;		   /* outlives the API */
};

#define API_MAX_PAYLOAD_DEFAULT 51200

/*
 * Binds the socket (its mode is the umask's affair), starts the thread and returns
 * when its filter is on and it serves. The text of an error is complete. Main thread.
 */
must_check int api_start(const struct api_cfg *cfg, struct api **ret, struct err *e);

/*
 * Sends the replies that are due, closes the connections, ends the thread and removes
 * the socket, if the path still leads to ours. Actions that the vmm has not answered
 * yet may still be answered later; nobody hears of it. Main thread; NULL is fine.
 */
void api_stop(struct api *api);

/* What clients asked for. Any thread. */
must_check const struct api_metrics *api_metrics(const struct api *api);
