/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns what: the http_req is the connection's and goes when the connection goes.
 * The call, which holds the action, is the API thread's until vmm_submit(), the vmm's
 * until `done', and the API thread's again after it has come out of `replies'. The call
 * points to its request, and http.c clears that pointer when the request goes first.
 * Each submitted call holds a reference to the api, so that `done' always finds it.
 */
#include "api/api.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/http.h"
#include "api/metrics.h"
#include "api/request_log.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mbox.h"
#include "base/stage.h"
#include "base/thread.h"
#include "vmm/vmm.h"

enum { BACKLOG = 64 };

enum startup { STARTING, SERVING, FAILED };

struct api {
	unsigned refs; /* (A) api_start()'s caller and each submitted call */
	bool stop;     /* (A) set once, by api_stop() */
	struct vmm *vmm;
	const char *sock_path;
	dev_t sock_dev; /* of the socket's path, when it was ours */
	ino_t sock_ino;
	int listen_fd; /* owned; -1 once the library has it */
	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t started;
	enum startup startup;	/* (L) lock */
	struct err startup_err; /* (L) lock */
	struct api_metrics metrics;
	struct mbox replies; /* answered actions, for the API thread */
	struct loop loop;    /* this and the rest: API thread */
	struct loop_src replies_src;
	struct http http;
};

struct call {
	struct action action;
	struct api *api;
	struct http_req *req; /* NULL: the client has gone. API thread */
	const char *timed;    /* what the log calls it, or NULL */
	counter_t *fails;     /* the api's, or NULL */
	usec_t begun;
	bool deprecated;
};

static void api_unref(struct api *api)
{
	if (__atomic_sub_fetch(&api->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	http_fini(&api->http);
	loop_fini(&api->loop);
	mbox_fini(&api->replies);
	if (api->listen_fd >= 0)
		close(api->listen_fd);
	pthread_cond_destroy(&api->started);
	pthread_mutex_destroy(&api->lock);
	free(api);
}

static bool stopping(const struct api *api)
{
	return __atomic_load_n(&api->stop, __ATOMIC_ACQUIRE);
}

/* --- requests: API thread --- */

static counter_t *latency_of(struct vmm_latencies *l, const char *timed)
{
	const struct {
		const char *timed;
		counter_t *latency;
	} rows[] = {
		{ "create full snapshot", &l->full_create_snapshot },
		{ "create diff snapshot", &l->diff_create_snapshot },
		{ "load snapshot", &l->load_snapshot },
		{ "pause vm", &l->pause_vm },
		{ "resume vm", &l->resume_vm },
	};

	for (unsigned i = 0; timed && i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].timed, timed) == 0)
			return rows[i].latency;
	return NULL;
}

/* `timed': NULL for what nobody wants to know. */
static void note_duration(struct api *api, usec_t begun, const char *timed)
{
	unsigned long long us = clock_monotonic() - begun;
	counter_t *latency = latency_of(vmm_latencies(api->vmm), timed);

	if (latency)
		counter_set(latency, us);
	if (timed)
		log_info("'%s' API request took %llu us.", timed, us);
	log_debug("Total previous API call duration: %llu us.", us);
}

static void call_free(struct call *call)
{
	struct api *api = call->api;

	free(call);
	api_unref(api);
}

/* Main thread. After api_stop() there is nobody to tell. */
static void on_done(struct action *action)
{
	struct call *call = container_of(action, struct call, action);

	if (stopping(call->api))
		call_free(call);
	else
		mbox_post(&call->api->replies, &action->msg);
}

static void finish(struct call *call)
{
	struct http_req *req = call->req;
	const struct err *e = &call->action.err;

	if (req) {
		req->reply.deprecated = call->deprecated;
		if (e->code < 0)
			reply_fault(&req->reply, e);
		else
			reply_done(&req->reply);
		http_answer(req);
	} else if (e->code < 0) {
		log_err("A request failed after its client had gone: %s", e->msg);
	}
	if (e->code < 0 && call->fails)
		counter_inc(call->fails);
	note_duration(call->api, call->begun, call->timed);
	call_free(call);
}

static void on_replies(struct loop_src *src, uint32_t events)
{
	struct api *api = container_of(src, struct api, replies_src);
	struct mbox_msg *msg = mbox_take(&api->replies);

	(void)events;
	while (msg) {
		struct action *action = container_of(msg, struct action, msg);

		msg = msg->next;
		finish(container_of(action, struct call, action));
	}
}

static void submit(struct api *api, struct http_req *req, struct call *call)
{
	call->api = api;
	call->req = req;
	call->action.done = on_done;
	req->holder = &call->req;
	__atomic_fetch_add(&api->refs, 1, __ATOMIC_RELAXED);
	vmm_submit(api->vmm, &call->action);
}

static void note_deprecated(struct api *api, const struct http_req *req)
{
	counter_inc(&api->metrics.deprecated.deprecated_http_api_calls);
	log_warn("%s %s: a deprecated field was used.", route_method_name(req->method),
		 req->target);
}

static void serve(struct http_req *req)
{
	struct api *api = container_of(req->conn->http, struct api, http);
	const struct route_req asked = {
		.method = req->method,
		.target = req->target,
		.body = req->body,
		.len = req->len,
		.views = vmm_views(api->vmm),
	};
	autofree struct call *call = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*call));
	struct route_out out = { 0 };
	struct err e = { 0 };
	usec_t begun = clock_monotonic();
	counter_t *fails = api_metrics_count(&api->metrics, req->method, req->target);
	int r;

	request_log(&asked);
	if (call) {
		out.action = &call->action;
		r = route(&asked, &out, &e);
	} else {
		r = err_set(&e, ERR_INTERNAL, -ENOMEM, "Out of memory for the request.");
	}
	if (out.deprecated)
		note_deprecated(api, req);
	if (r == 0 && out.submit) {
		call->begun = begun;
		call->timed = out.timed;
		call->fails = fails;
		call->deprecated = out.deprecated;
		submit(api, req, take_ptr(&call));
		return;
	}
	req->reply.deprecated = out.deprecated;
	if (r == 0 && out.stream)
		r = stream_begin(&api->http.streams, req, &e);
	/* Of an action's error -EBADMSG would be the host's: a damaged file system says so. */
	if (r == -EBADMSG)
		reply_undecoded(&req->reply, &e);
	else if (r < 0)
		reply_fault(&req->reply, &e);
	else if (out.stream)
		reply_stream(&req->reply);
	else
		reply_body(&req->reply, out.view, out.body);
	req->reply.type = out.type;
	if (r < 0 && fails)
		counter_inc(fails);
	http_answer(req);
	note_duration(api, begun, NULL);
}

/* --- the thread --- */

static void report_start(struct api *api, enum startup startup, const struct err *e)
{
	pthread_mutex_lock(&api->lock);
	api->startup = startup;
	if (e)
		api->startup_err = *e;
	pthread_cond_signal(&api->started);
	pthread_mutex_unlock(&api->lock);
}

static void run(struct thread *thread)
{
	struct api *api = container_of(thread, struct api, thread);
	int r = 0;

	report_start(api, SERVING, NULL);
	while (r == 0 && !stopping(api))
		r = http_turn(&api->http);
	if (r < 0)
		log_err("The API server ends: waiting for requests failed: %s", strerror(-r));
	on_replies(&api->replies_src, 0);
	http_fini(&api->http);
}

static void on_isolation_failed(struct thread *thread, const struct err *e)
{
	report_start(container_of(thread, struct api, thread), FAILED, e);
}

static int start_thread(struct api *api, const struct isolation *isolation, struct err *e)
{
	int r;

	api->thread = (struct thread){
		.name = "fc_api",
		.kind = THREAD_API,
		.iso = isolation,
		.run = run,
		.failed = on_isolation_failed,
	};
	r = thread_start(&api->thread, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&api->lock);
	while (api->startup == STARTING)
		pthread_cond_wait(&api->started, &api->lock);
	if (api->startup == FAILED) {
		*e = api->startup_err;
		r = e->code;
	}
	pthread_mutex_unlock(&api->lock);
	return r;
}

/* --- the socket: main thread --- */

static int make_socket(void)
{
	int fd = FAULT(-EMFILE);

	if (fd < 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

static int bind_path(int fd, const char *path, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int r = FAULT(-EACCES);

	if (path[0] == '\0') /* the kernel would take it for an abstract name */
		return err_set(e, ERR_INVALID, -EINVAL, "The path of the API socket is empty.");
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "The path of the API socket has %zu bytes; a Unix socket's path "
			       "may have %zu.",
			       strlen(path), sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	if (r == 0 && bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (r == -EADDRINUSE)
		return err_set(e, ERR_INVALID, r,
			       "Failed to open the API socket at: %s. Check that it is not already "
			       "used.",
			       path);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "Failed to open the API socket at: %s: %s", path,
			       strerror(-r));
	return 0;
}

static int open_socket(struct api *api, struct err *e)
{
	struct stat st;
	int fd = make_socket();
	int r;

	if (fd < 0)
		return err_set(e, ERR_INTERNAL, fd, "The API socket cannot be made: %s",
			       strerror(-fd));
	api->listen_fd = fd;
	r = bind_path(fd, api->sock_path, e);
	if (r < 0)
		return r;
	if (lstat(api->sock_path, &st) == 0) {
		api->sock_dev = st.st_dev;
		api->sock_ino = st.st_ino;
	}
	r = FAULT(-ENOBUFS);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "The API socket at %s cannot listen: %s",
			       api->sock_path, strerror(-r));
	return 0;
}

static void unlink_socket(const struct api *api)
{
	struct stat st;

	if (api->sock_ino != 0 && lstat(api->sock_path, &st) == 0 && st.st_dev == api->sock_dev &&
	    st.st_ino == api->sock_ino)
		(void)unlink(api->sock_path);
}

static int make_loop(struct api *api, size_t max_payload, struct err *e)
{
	const struct http_cfg cfg = { .max_payload = max_payload, .serve = serve };
	int r = loop_init(&api->loop);

	if (r == 0)
		r = mbox_init(&api->replies);
	if (r == 0) {
		api->replies_src = (struct loop_src){ .fd = api->replies.fd,
						      .events = EPOLLIN,
						      .fn = on_replies };
		r = loop_add(&api->loop, &api->replies_src);
	}
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "The API's event loop cannot be made: %s",
			       strerror(-r));
	return http_init(&api->http, &cfg, &api->loop, &api->listen_fd, e);
}

static int start(struct api *api, const struct api_cfg *cfg, struct err *e)
{
	int r = api_metrics_init(&api->metrics, e);

	if (r == 0)
		r = open_socket(api, e);
	if (r == 0)
		r = make_loop(api, cfg->max_payload, e);
	if (r < 0)
		return r;
	log_info("Listening on API socket (\"%s\").", api->sock_path);
	r = start_thread(api, cfg->isolation, e);
	if (r < 0)
		return r;
	stage_mark(STAGE_API_READY);
	log_info("API server started.");
	return r;
}

int api_start(const struct api_cfg *cfg, struct api **ret, struct err *e)
{
	struct api *api = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*api));
	int r;

	if (!api)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "Out of memory for the API server");
	api->refs = 1;
	api->vmm = cfg->vmm;
	api->sock_path = cfg->sock_path;
	api->listen_fd = -1;
	api->loop.epfd = -1;
	api->replies.fd = -1;
	pthread_mutex_init(&api->lock, NULL);
	pthread_cond_init(&api->started, NULL);
	r = start(api, cfg, e);
	if (r < 0) {
		api_stop(api);
		return r;
	}
	*ret = api;
	return 0;
}

void api_stop(struct api *api)
{
	struct mbox_msg *msg;

	if (!api)
		return;
	__atomic_store_n(&api->stop, true, __ATOMIC_RELEASE); /* with the load in stopping() */
	if (api->replies.fd >= 0)
		fd_event_signal(api->replies.fd);
	thread_join(&api->thread);
	api_metrics_fini(&api->metrics);
	unlink_socket(api);
	for (msg = api->replies.fd >= 0 ? mbox_take(&api->replies) : NULL; msg;) {
		struct action *action = container_of(msg, struct action, msg);

		msg = msg->next;
		call_free(container_of(action, struct call, action));
	}
	api_unref(api);
}

const struct api_metrics *api_metrics(const struct api *api)
{
	return &api->metrics;
}
