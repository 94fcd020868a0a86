/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /events: answers that do not end, a chunk of lines whenever something happens.
 *
 * A subscriber's connection does not count among the ten any more. While there is
 * nothing to say it is suspended; a client that reads slowly is written to as its socket
 * takes it, and events (base/events.h) keeps its place. A client that goes away, or has
 * said that it sends nothing any more, is let go at once. API thread.
 */
#pragma once

#include "base/err.h"
#include "base/events.h"
#include "base/loop.h"

enum { STREAMS_MAX = 2 };

struct http_req;
struct streams;

struct stream {
	struct streams *all;
	struct http_req *req; /* NULL: free */
	struct event_reader reader;
	bool waits;	      /* suspended until there is something to say */
	bool gone;	      /* the client has closed */
	struct loop_src peer; /* says when it does */
};

struct streams {
	struct loop *loop;
	struct loop_src wake; /* owned eventfd; something was emitted */
	struct stream stream[STREAMS_MAX];
	bool closing;
};

must_check int streams_init(struct streams *s, struct loop *loop, struct err *e);

/* Nobody is left: see streams_close(). No-op for a zeroed one. */
void streams_fini(struct streams *s);

/* The request will be answered by a stream; -EBUSY when there are enough. */
must_check int stream_begin(struct streams *s, struct http_req *req, struct err *e);

/* For http.c: queues the answer (0 or -ENOMEM); the request ends. */
must_check int stream_send(struct http_req *req);
void stream_end(struct http_req *req);

/* What has been said is still sent, as far as clients take it, and then the end. */
void streams_close(struct streams *s);
