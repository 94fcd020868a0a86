/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When lines of metrics are written: when the machine starts, every minute after it,
 * and when somebody asks. A sink that has no room is never waited for; the rest of a
 * line that it took a part of follows as soon as its reader makes room.
 *
 * Main thread.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

struct flush {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_src room; /* the sink, while a line is unfinished */
	bool frozen;	      /* the machine is paused, and the clock of this with it */
	bool due;	      /* came while frozen */
};

void flush_init(struct flush *f, struct loop *loop);
void flush_fini(struct flush *f);

/* The first line, and then one every minute. */
void flush_start(struct flush *f);

/* A line now. An error when there is a sink and it did not take it. */
must_check int flush_now(struct flush *f, struct err *e);

/* A paused machine writes no lines by itself; one that was due comes when it goes on. */
void flush_freeze(struct flush *f);
void flush_thaw(struct flush *f);
