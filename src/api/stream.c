/* SPDX-License-Identifier: Apache-2.0 */
#include "api/stream.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "api/http.h"
#include "base/fault.h"
#include "base/fd.h"

enum { BLOCK_BYTES = 4096 }; /* at most, of a chunk */

static_assert((int)BLOCK_BYTES >= (int)EVENT_LINE_MAX, "a line fits");

/* --- for the library ---------------------------------------------------------------- */

/* What is there; nothing: suspended until on_wake() or on_peer(). */
static ssize_t on_room(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *st = cls;
	size_t n;

	(void)pos;
	if (st->gone || max < EVENT_LINE_MAX)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = events_read(&st->reader, buf, max);
	if (n > 0)
		return (ssize_t)n;
	if (st->all->closing)
		return MHD_CONTENT_READER_END_OF_STREAM;
	st->waits = true;
	MHD_suspend_connection(st->req->conn->mhd);
	return 0;
}

static void go_on(struct stream *st)
{
	if (!st->waits)
		return;
	st->waits = false;
	MHD_resume_connection(st->req->conn->mhd);
}

static bool add_headers(struct MHD_Response *response)
{
	return MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "Firecracker API") ==
		       MHD_YES &&
	       MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				       "application/x-ndjson") == MHD_YES;
}

int stream_send(struct http_req *req)
{
	struct MHD_Response *response = NULL;
	bool ok;

	if (FAULT(-ENOMEM) == 0)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room,
							     req->stream, NULL);
	if (!response)
		return -ENOMEM;
	ok = add_headers(response) &&
	     MHD_queue_response(req->conn->mhd, MHD_HTTP_OK, response) == MHD_YES;
	MHD_destroy_response(response);
	return ok ? 0 : -ENOMEM;
}

/* --- events and clients -------------------------------------------------------------- */

static void on_wake(struct loop_src *src, uint32_t events)
{
	struct streams *s = container_of(src, struct streams, wake);

	(void)events;
	(void)fd_event_take(src->fd);
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		go_on(&s->stream[i]);
}

static void on_peer(struct loop_src *src, uint32_t events)
{
	struct stream *st = container_of(src, struct stream, peer);

	(void)events;
	loop_remove(st->all->loop, src); /* the library closes it, in its own time */
	(void)shutdown(src->fd, SHUT_RDWR);
	st->gone = true;
	go_on(st);
}

int stream_begin(struct streams *s, struct http_req *req, struct err *e)
{
	struct stream *st = s->stream;
	int r;

	while (st < s->stream + STREAMS_MAX && st->req)
		st++;
	if (st == s->stream + STREAMS_MAX)
		return err_set(e, ERR_STATE, -EBUSY,
			       "Events error: %d clients watch already; there is no room for more",
			       STREAMS_MAX);
	*st = (struct stream){ .all = s, .req = req };
	st->peer = (struct loop_src){ .fd = http_req_fd(req), .events = EPOLLRDHUP, .fn = on_peer };
	r = loop_add(s->loop, &st->peer);
	if (r < 0) {
		st->req = NULL;
		return err_set(e, ERR_INTERNAL, r, "Events error: epoll: %s", strerror(-r));
	}
	events_begin(&st->reader);
	events_wake(s->wake.fd);
	http_req_stream(req, st);
	return 0;
}

void stream_end(struct http_req *req)
{
	struct stream *st = req->stream;
	struct streams *s = st->all;
	bool any = false;

	loop_remove(s->loop, &st->peer);
	st->req = NULL;
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		any |= s->stream[i].req != NULL;
	if (!any)
		events_wake(-1);
}

void streams_close(struct streams *s)
{
	s->closing = true;
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		go_on(&s->stream[i]);
}

int streams_init(struct streams *s, struct loop *loop, struct err *e)
{
	int fd = fd_event_create();
	int r = fd;

	if (r >= 0) {
		*s = (struct streams){ .loop = loop,
				       .wake = { .fd = fd, .events = EPOLLIN, .fn = on_wake } };
		r = loop_add(loop, &s->wake);
	}
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "The stream of events cannot be made: %s",
			       strerror(-r))
		     : 0;
}

void streams_fini(struct streams *s)
{
	if (!s->loop)
		return;
	events_wake(-1);
	loop_remove(s->loop, &s->wake);
	fd_close_(&s->wake.fd);
	s->loop = NULL;
}
