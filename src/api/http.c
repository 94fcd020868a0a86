/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/log.h"

enum {
	POOL_BYTES = 32 << 10, /* of a connection; more would be mapped, not allocated */
	BODY_FIRST = 1024,     /* bytes of the first buffer when no length was announced */
	DROP_MAX = 1 << 20,    /* bytes of a body too large that are read for the client's sake */
	HURRY_SECONDS = 1,     /* what the idlest connection has left when all are taken */
	WAIT_FOR_EVER = -1,
	LAST_RUNS = 4, /* of the library: the rest of a stream, and its end */
};

/* --- connections --- */

static void set_timeout(struct http_conn *conn, unsigned seconds)
{
	conn->hurried = seconds > 0;
	(void)MHD_set_connection_option(conn->mhd, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void heard_from(struct http_conn *conn)
{
	conn->heard = clock_monotonic();
	if (conn->hurried && !conn->refused)
		set_timeout(conn, 0);
}

/* Whether the next word is ours, not the client's. */
static bool answering(const struct http_conn *conn)
{
	return conn->req && conn->req->state >= HTTP_SERVING;
}

static int fd_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/*
 * There is no idle timeout, because clients keep a connection for the life of a
 * machine. But whoever holds all connections must not keep others out: when the last
 * one is taken, the one that has been silent for longest has to say something soon.
 */
static void hurry_idlest(struct http *http, const struct http_conn *newest)
{
	struct http_conn *idlest = NULL;

	for (unsigned i = 0; i < HTTP_SLOTS; i++) {
		struct http_conn *conn = &http->conns[i];

		if (!conn->mhd || conn == newest || conn->refused || answering(conn))
			continue;
		if (!idlest || conn->heard < idlest->heard)
			idlest = conn;
	}
	if (idlest && !idlest->hurried)
		set_timeout(idlest, HURRY_SECONDS);
}

static void refuse(struct http_conn *conn)
{
	static const char body[] = "{ \"error\": \"Too many open connections\" }";
	char reply[256];
	int fd = fd_of(conn->mhd);
	int len = snprintf(reply, sizeof(reply),
			   "HTTP/1.1 503 Service Unavailable\r\n"
			   "Server: Firecracker API\r\n"
			   "Connection: close\r\n"
			   "Content-Type: application/json\r\n"
			   "Content-Length: %zu\r\n\r\n%s",
			   sizeof(body) - 1, body);

	conn->refused = true;
	conn->drain = true;
	/* The socket is new and its buffer empty: either all of it fits or the client is gone. */
	(void)send(fd, reply, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	set_timeout(conn, HURRY_SECONDS);
}

static void open_conn(struct http *http, struct MHD_Connection *mhd, void **context)
{
	struct http_conn *conn = NULL;

	for (unsigned i = 0; i < HTTP_SLOTS && !conn; i++)
		if (!http->conns[i].mhd)
			conn = &http->conns[i];
	*context = conn;
	if (!conn) /* the library's own limit is the same number */
		return;
	*conn = (struct http_conn){ .http = http, .mhd = mhd, .heard = clock_monotonic() };
	if (http->nconns == HTTP_CONNECTIONS) {
		refuse(conn);
		hurry_idlest(http, conn);
		return;
	}
	if (++http->nconns == HTTP_CONNECTIONS)
		hurry_idlest(http, conn);
}

static void close_conn(struct http *http, struct http_conn *conn)
{
	if (!conn->refused && !conn->streams)
		http->nconns--;
	if (conn->drain) {
		int fd = fcntl(fd_of(conn->mhd), F_DUPFD_CLOEXEC, 0);

		if (fd >= 0)
			drain_add(&http->drain, fd);
	}
	conn->mhd = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct http *http = cls;

	switch (what) {
	case MHD_CONNECTION_NOTIFY_STARTED:
		open_conn(http, mhd, context);
		break;
	case MHD_CONNECTION_NOTIFY_CLOSED:
		if (*context)
			close_conn(http, *context);
		break;
	}
}

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* --- requests --- */

static void req_free(struct http_req *req)
{
	if (!req)
		return;
	reply_fini(&req->reply);
	free(req->target);
	free(req->body);
	free(req);
}

/*
 * The request line has come: a request begins. This is where the library shows the
 * target as it was sent; later it has been cut at the question mark.
 */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http *http = cls;
	struct http_conn *conn = conn_of(mhd);
	struct http_req *req;

	if (!conn || conn->refused || FAULT(-ENOMEM) < 0)
		return NULL;
	heard_from(conn);
	req = calloc(1, sizeof(*req));
	if (!req)
		return NULL;
	req->target = FAULT(-ENOMEM) < 0 ? NULL : strdup(target);
	if (!req->target) {
		req_free(req);
		return NULL;
	}
	req->conn = conn;
	conn->req = req;
	req->line = target;
	req->next = http->reqs;
	if (req->next)
		req->next->prev = req;
	http->reqs = req;
	return req;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
			 enum MHD_RequestTerminationCode how)
{
	struct http *http = cls;
	struct http_req *req = *con_cls;

	(void)mhd;
	(void)how;
	*con_cls = NULL;
	if (!req)
		return;
	if (req->holder)
		*req->holder = NULL;
	if (req->stream)
		stream_end(req);
	req->conn->req = NULL;
	heard_from(req->conn);
	if (req->prev)
		req->prev->next = req->next;
	else
		http->reqs = req->next;
	if (req->next)
		req->next->prev = req->prev;
	req_free(req);
}

struct framing {
	unsigned nlengths, nencodings;
	const char *length, *encoding;
};

static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *key,
				      const char *value)
{
	struct framing *framing = cls;

	(void)kind;
	if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		framing->nlengths++;
		framing->length = value;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		framing->nencodings++;
		framing->encoding = value;
	}
	return MHD_YES;
}

static void refuse_size(struct http_req *req, unsigned long long len)
{
	reply_transport(&req->reply,
			"Request payload with size %llu is larger than the limit of %zu allowed "
			"by server.",
			len, req->conn->http->cfg.max_payload);
}

static enum MHD_Result send_reply(struct http_req *req)
{
	int r = req->stream ? stream_send(req) : reply_send(req->conn->mhd, &req->reply);

	if (r < 0)
		return MHD_NO;
	req->state = HTTP_SENT;
	return MHD_YES;
}

/* An answer while the body is still to come: the library closes after it. */
static enum MHD_Result send_early(struct http_req *req)
{
	req->conn->drain = true;
	return send_reply(req);
}

/*
 * Whether a NUL cut the target short. The library keeps the request line as it came, with
 * a NUL at the end of each part, and says where the target and the version begin.
 */
static bool has_nul(const char *target, const char *version)
{
	uintptr_t apart = (uintptr_t)version - (uintptr_t)target;

	if (apart > POOL_BYTES) /* another place: there was no version */
		return false;
	return strlen(target) + 1 != apart;
}

/* The headers are there. What they say about the body decides whether it is read at all. */
static enum MHD_Result begin(struct http_req *req, const char *method, const char *version)
{
	struct framing framing = { 0 };
	bool nul = has_nul(req->line, version);
	unsigned long long len;

	req->line = NULL;
	(void)MHD_get_connection_values(req->conn->mhd, MHD_HEADER_KIND, look_at_header, &framing);
	if (framing.nlengths + framing.nencodings > 1 ||
	    (framing.encoding && strcasecmp(framing.encoding, "chunked") != 0)) {
		reply_transport(&req->reply,
				"Invalid header. Reason: The length of the body is not clear. "
				"Send one Content-Length.");
		return send_early(req);
	}
	len = framing.length ? strtoull(framing.length, NULL, 10) : 0;
	if (len > req->conn->http->cfg.max_payload) {
		refuse_size(req, len);
		return send_early(req);
	}
	if (route_method_parse(method, &req->method) < 0) {
		reply_transport(&req->reply, "Invalid HTTP Method: Unsupported HTTP method.");
		req->refused = true;
	}
	if (nul && !req->refused) {
		reply_transport(&req->reply, "Invalid URI: The path contains a NUL byte.");
		req->refused = true;
	}
	req->cap = (size_t)len;
	req->state = HTTP_BODY;
	return MHD_YES;
}

static int grow(struct http_req *req, size_t need)
{
	size_t max = req->conn->http->cfg.max_payload;
	size_t cap = req->body ? req->cap * 2 : req->cap;
	char *body;

	if (req->body && need <= req->cap)
		return 0;
	if (cap < BODY_FIRST)
		cap = BODY_FIRST;
	if (cap < need)
		cap = need;
	if (cap > max)
		cap = max;
	body = FAULT(-ENOMEM) < 0 ? NULL : realloc(req->body, cap);
	if (!body)
		return -ENOMEM;
	req->body = body;
	req->cap = cap;
	return 0;
}

static enum MHD_Result collect(struct http_req *req, const char *data, size_t len)
{
	heard_from(req->conn);
	if (!req->refused && len > req->conn->http->cfg.max_payload - req->len) {
		refuse_size(req, (unsigned long long)req->len + len);
		req->refused = true;
	}
	if (!req->refused && grow(req, req->len + len) < 0) {
		reply_transport(&req->reply, "Out of memory for the body of the request.");
		req->refused = true;
	}
	if (req->refused) {
		req->dropped += len;
		return req->dropped > DROP_MAX ? MHD_NO : MHD_YES;
	}
	memcpy(req->body + req->len, data, len);
	req->len += len;
	return MHD_YES;
}

static enum MHD_Result finish(struct http_req *req)
{
	if (req->refused)
		return send_reply(req);
	if (req->conn->http->closing)
		return MHD_NO;
	req->state = HTTP_SERVING;
	if (req->conn->hurried)
		set_timeout(req->conn, 0);
	req->conn->http->cfg.serve(req);
	if (req->state == HTTP_READY)
		return send_reply(req);
	req->suspended = true;
	MHD_suspend_connection(req->conn->mhd);
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **con_cls)
{
	struct http_req *req = *con_cls;
	enum MHD_Result r = MHD_YES;

	(void)cls;
	(void)mhd;
	(void)url;
	if (!req)
		return MHD_NO;
	switch (req->state) {
	case HTTP_HEADERS:
		return begin(req, method, version);
	case HTTP_BODY:
		if (*len == 0)
			return finish(req);
		r = collect(req, data, *len);
		*len = 0;
		return r;
	case HTTP_READY:
		return send_reply(req);
	case HTTP_SERVING:
	case HTTP_SENT:
		return MHD_YES;
	case HTTP_ABORTED:
		break;
	}
	return MHD_NO;
}

int http_req_fd(const struct http_req *req)
{
	return fd_of(req->conn->mhd);
}

void http_req_stream(struct http_req *req, struct stream *stream)
{
	req->stream = stream;
	req->conn->streams = true;
	req->conn->http->nconns--;
}

void http_answer(struct http_req *req)
{
	req->state = HTTP_READY;
	req->holder = NULL;
	if (!req->suspended)
		return;
	req->suspended = false;
	MHD_resume_connection(req->conn->mhd);
}

/* --- the daemon --- */

/* Nothing is decoded, so that a name has one spelling; route() refuses `%'. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
	(void)cls;
	(void)mhd;
	return strlen(s);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
	(void)cls;
	log_err("libmicrohttpd gives up at %s:%u: %s", file, line, reason ? reason : "no reason");
	abort();
}

/* http_turn() runs the library after every turn, whatever woke the loop. */
static void on_ready(struct loop_src *src, uint32_t events)
{
	(void)src;
	(void)events;
}

static struct MHD_Daemon *start_daemon(struct http *http, int listen_fd)
{
	if (FAULT(-ENOMEM) < 0)
		return NULL;
	MHD_set_panic_func(on_panic, NULL);
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL,
		NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_SLOTS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

int http_init(struct http *http, const struct http_cfg *cfg, struct loop *loop, int *listen_fd,
	      struct err *e)
{
	const union MHD_DaemonInfo *info;
	int r;

	*http = (struct http){ .cfg = *cfg, .loop = loop };
	drain_init(&http->drain, loop);
	r = streams_init(&http->streams, loop, e);
	if (r < 0)
		return r;
	http->daemon = start_daemon(http, *listen_fd);
	if (!http->daemon) {
		streams_fini(&http->streams);
		return err_set(e, ERR_INTERNAL, -ENOMEM,
			       "The HTTP server cannot be started: out of memory or descriptors");
	}
	(void)take_fd(listen_fd);
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	http->src = (struct loop_src){ .fd = info->epoll_fd, .events = EPOLLIN, .fn = on_ready };
	r = loop_add(loop, &http->src);
	if (r < 0) {
		http_fini(http);
		return err_set(e, ERR_INTERNAL, r, "The HTTP server cannot be polled: %s",
			       strerror(-r));
	}
	return 0;
}

void http_fini(struct http *http)
{
	if (!http->daemon)
		return;
	http->closing = true;
	/* The library panics when it is stopped while a connection is suspended. */
	for (struct http_req *req = http->reqs; req; req = req->next) {
		if (!req->suspended)
			continue;
		req->state = HTTP_ABORTED;
		req->suspended = false;
		MHD_resume_connection(req->conn->mhd);
	}
	streams_close(&http->streams);
	for (int i = 0; i < LAST_RUNS; i++)
		(void)MHD_run(http->daemon); /* sends what is due, too */
	loop_remove(http->loop, &http->src);
	MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
	streams_fini(&http->streams);
	drain_fini(&http->drain);
}

/* Milliseconds until the library wants to run again; 0 while it has work at hand. */
static int library_wait_ms(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(http->daemon, &ms) != MHD_YES)
		return WAIT_FOR_EVER;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/*
 * The library's epoll is edge-triggered. When the last bytes and the end of a client's
 * stream come together, it reads the bytes and never learns of the end. So we look
 * whenever it has nothing left to do, and take the connection down, which it notices.
 */
static void end_half_closed(struct http *http)
{
	char c;

	for (unsigned i = 0; i < HTTP_SLOTS; i++) {
		struct http_conn *conn = &http->conns[i];
		int fd;

		if (!conn->mhd || answering(conn))
			continue;
		fd = fd_of(conn->mhd);
		if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			(void)shutdown(fd, SHUT_RDWR);
	}
}

int http_turn(struct http *http)
{
	int r = loop_turn(http->loop, library_wait_ms(http));

	(void)MHD_run(http->daemon);
	if (library_wait_ms(http) != 0)
		end_half_closed(http);
	return r;
}
