/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that were answered before the client had sent everything.
 *
 * Closing such a socket at once makes the client's next write fail, and most clients
 * then never read the answer. So it is kept for a moment, and what still comes is read
 * and thrown away until the client closes or the time is over. API thread.
 */
#pragma once

#include "base/loop.h"

enum { DRAIN_MAX = 8 };

struct drain {
	struct loop *loop;
	struct drain_slot {
		struct loop_src src;
		struct loop_timer timer;
		struct drain *drain;
	} slots[DRAIN_MAX]; /* src.fd -1: free */
};

void drain_init(struct drain *drain, struct loop *loop);
void drain_fini(struct drain *drain);

/* Takes the descriptor over. When all places are taken it is closed at once. */
void drain_add(struct drain *drain, int fd);
