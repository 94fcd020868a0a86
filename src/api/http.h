/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP on a Unix socket: the only file that talks to libmicrohttpd, beside reply.c and
 * stream.c.
 *
 * The library gets no thread: its epoll descriptor is a source in our loop, and
 * http_turn() runs it. A request is collected into a capped buffer, handed to `serve'
 * once it is complete, and answered when http_answer() says that its reply is filled;
 * until then its connection is suspended, so there is one request at a time for each
 * connection and nobody waits for another's.
 *
 * http_init() and http_fini() may be called on the thread that has started or joined
 * the API thread; all else is for the API thread.
 */
#pragma once

#include "api/drain.h"
#include "api/reply.h"
#include "api/route.h"
#include "api/stream.h"
#include "base/loop.h"

enum {
	HTTP_CONNECTIONS = 10, /* contract, 1.1; further ones get a 503 */
	HTTP_SLOTS = 18,       /* HTTP_CONNECTIONS, streams, and those that are being refused */
};

struct MHD_Daemon;
struct MHD_Connection;
struct http;

struct http_conn {
	struct http *http;
	struct MHD_Connection *mhd; /* NULL: the slot is free */
	bool refused;		    /* one too many: it gets no service */
	bool hurried;		    /* has one second to say something */
	struct http_req *req;	    /* NULL: between two requests */
	bool drain;		    /* answered before everything was read */
	bool streams;		    /* does not count any more */
	usec_t heard;		    /* when the client last gave a sign of life */
};

enum http_state {
	HTTP_HEADERS, /* nothing looked at yet */
	HTTP_BODY,    /* the body is being collected */
	HTTP_SERVING, /* complete and with `serve' */
	HTTP_READY,   /* the reply is filled */
	HTTP_SENT,    /* the reply is the library's */
	HTTP_ABORTED, /* to be closed without an answer */
};

struct http_req {
	struct http_conn *conn;
	enum http_state state;
	enum route_method method;
	const char *line; /* the target where the library has it; on its first call only */
	char *target;	  /* owned */
	char *body;	  /* owned; len bytes, without a NUL */
	size_t len, cap;
	size_t dropped; /* bytes of a body that is too large */
	bool refused;	/* the reply is filled already; the body is only read away */
	bool suspended;
	struct reply reply;
	struct stream *stream; /* NULL: it has a plain reply */
	/* Where the server of this request keeps its pointer: set to NULL when it goes away. */
	struct http_req **holder;
	struct http_req *prev, *next; /* http->reqs */
};

struct http_cfg {
	size_t max_payload; /* bytes of a body */
	void (*serve)(struct http_req *req);
};

struct http {
	struct http_cfg cfg;
	struct loop *loop;
	struct loop_src src; /* the library's epoll descriptor */
	struct MHD_Daemon *daemon;
	struct drain drain;
	struct streams streams;
	struct http_conn conns[HTTP_SLOTS];
	unsigned nconns; /* that are served */
	struct http_req *reqs;
	bool closing; /* what is complete from now on is not served */
};

/*
 * Serves what connects to *listen_fd, which is taken over on success: it must listen
 * and be non-blocking. Nothing is accepted before the first http_turn().
 */
must_check int http_init(struct http *http, const struct http_cfg *cfg, struct loop *loop,
			 int *listen_fd, struct err *e);

/*
 * Sends the replies that are filled, as far as clients take them, and closes everything.
 * Requests in service lose their holder and get no answer.
 */
void http_fini(struct http *http);

/* One turn of the loop and of the library. -errno of epoll. */
must_check int http_turn(struct http *http);

/* For stream.c: the socket; the request will be answered by the stream. */
must_check int http_req_fd(const struct http_req *req);
void http_req_stream(struct http_req *req, struct stream *stream);

/* The reply of a request in service has been filled; also from within `serve'. */
void http_answer(struct http_req *req);
