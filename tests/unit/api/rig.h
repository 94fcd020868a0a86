/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API's tests share: a monitor that only answers, run by a thread that stands
 * for main, and a client that speaks HTTP byte by byte.
 *
 * vmm_submit() and vmm_views() are defined here, so that nothing of the real monitor is
 * linked but its views.
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "api/metrics.h"
#include "base/fd.h"
#include "base/mbox.h"
#include "test.h"
#include "vmm/vmm.h"

#define RIG_INSTANCE "{\"id\":\"rig\",\"state\":\"Not started\"}"
#define RIG_MACHINE  "{\"vcpu_count\":1}"
#define RIG_CONFIG   "{\"drives\":[]}"

enum { RIG_TIMEOUT_MS = 60000, RIG_ANSWER_MAX = 64 << 10 };

struct vmm {
	struct view_board views;
	struct mbox box;
	pthread_t main;
	pthread_mutex_t lock;  /* main is in done(), or in api_stop() */
	bool hold;	       /* (A) actions are kept unanswered */
	bool end;	       /* (A) */
	unsigned nanswers;     /* (A) that were answered */
	unsigned nactions;     /* (A) that came */
	enum action_type last; /* (A) */
	const char *failure;   /* (A) NULL: actions succeed */
	enum err_kind kind;    /* of the failure; constant while actions run */
	int code;	       /* likewise; 0: -EINVAL */
	struct vmm_latencies latencies;
};

static struct vmm rig_vmm;
static struct api *rig_api;
static char rig_path[64];
static struct mbox_msg *rig_held; /* newest first; after rig_main_stop() */

#define rig_get(field)	      __atomic_load_n(&rig_vmm.field, __ATOMIC_ACQUIRE)
#define rig_set(field, value) __atomic_store_n(&rig_vmm.field, (value), __ATOMIC_RELEASE)

void vmm_submit(struct vmm *vmm, struct action *action)
{
	mbox_post(&vmm->box, &action->msg);
}

struct view_board *vmm_views(struct vmm *vmm)
{
	return &vmm->views;
}

struct vmm_latencies *vmm_latencies(struct vmm *vmm)
{
	return &vmm->latencies;
}

static inline void rig_answer(struct action *action)
{
	const char *failure = rig_get(failure);

	if (failure)
		(void)!err_set(&action->err, rig_vmm.kind, rig_vmm.code ? rig_vmm.code : -EINVAL,
			       "%s", failure);
	pthread_mutex_lock(&rig_vmm.lock);
	action->done(action);
	pthread_mutex_unlock(&rig_vmm.lock);
	__atomic_fetch_add(&rig_vmm.nanswers, 1, __ATOMIC_ACQ_REL);
}

static inline void *rig_main(void *arg)
{
	struct mbox_msg *held = NULL;

	(void)arg;
	while (!rig_get(end) || (held && !rig_get(hold))) {
		struct pollfd p = { .fd = rig_vmm.box.fd, .events = POLLIN };
		struct mbox_msg *msg;

		(void)poll(&p, 1, 20);
		msg = mbox_take(&rig_vmm.box);
		while (msg) {
			struct mbox_msg *next = msg->next;
			struct action *action = container_of(msg, struct action, msg);

			rig_set(last, action->type);
			__atomic_fetch_add(&rig_vmm.nactions, 1, __ATOMIC_ACQ_REL);
			msg->next = held;
			held = msg;
			msg = next;
		}
		while (held && !rig_get(hold)) {
			msg = held;
			held = msg->next;
			rig_answer(container_of(msg, struct action, msg));
		}
	}
	rig_held = held;
	return NULL;
}

/* Ends the thread; what it still holds stays in rig_held for the test to answer. */
static inline void rig_main_stop(void)
{
	rig_set(end, true);
	pthread_join(rig_vmm.main, NULL);
}

static inline void rig_answer_held(void)
{
	while (rig_held) {
		struct action *action = container_of(rig_held, struct action, msg);

		rig_held = rig_held->next;
		rig_answer(action);
	}
}

static inline void rig_vmm_start(void)
{
	view_board_init(&rig_vmm.views);
	CHECK_EQ(view_publish(&rig_vmm.views,
			      &(struct view_texts){ RIG_INSTANCE, RIG_MACHINE, RIG_CONFIG, NULL }),
		 0);
	CHECK_EQ(mbox_init(&rig_vmm.box), 0);
	pthread_mutex_init(&rig_vmm.lock, NULL);
	CHECK_EQ(pthread_create(&rig_vmm.main, NULL, rig_main, NULL), 0);
}

static inline void rig_vmm_fini(void)
{
	mbox_fini(&rig_vmm.box);
	view_board_fini(&rig_vmm.views);
}

static inline void rig_vmm_stop(void)
{
	rig_set(hold, false);
	rig_main_stop();
	rig_vmm_fini();
}

static inline void rig_remove_socket(void)
{
	(void)unlink(rig_path);
}

static inline struct api_cfg rig_cfg(void)
{
	atexit(rig_remove_socket);
	snprintf(rig_path, sizeof(rig_path), "/tmp/wisp-api-test-%d.sock", getpid());
	(void)unlink(rig_path); /* of an earlier process of this number */
	return (struct api_cfg){
		.sock_path = rig_path,
		.max_payload = API_MAX_PAYLOAD_DEFAULT,
		.vmm = &rig_vmm,
	};
}

static inline void rig_start(void)
{
	struct api_cfg cfg = rig_cfg();
	struct err e = { 0 };

	rig_vmm_start();
	if (api_start(&cfg, &rig_api, &e) < 0) {
		fprintf(stderr, "# api_start: %s\n", e.msg);
		exit(1);
	}
}

/* As main does it: while it is in api_stop() no action is answered. */
static inline void rig_api_stop(void)
{
	pthread_mutex_lock(&rig_vmm.lock);
	api_stop(rig_api);
	pthread_mutex_unlock(&rig_vmm.lock);
	rig_api = NULL;
}

static inline void rig_stop(void)
{
	rig_api_stop();
	rig_vmm_stop();
}

/* Waits until the counter has come to n. */
static inline void rig_await_count(const unsigned *counter, unsigned n)
{
	for (int i = 0; i < RIG_TIMEOUT_MS && __atomic_load_n(counter, __ATOMIC_ACQUIRE) < n; i++)
		usleep(1000);
	CHECK_EQ(__atomic_load_n(counter, __ATOMIC_ACQUIRE), n);
}

static inline void rig_await(unsigned nactions)
{
	rig_await_count(&rig_vmm.nactions, nactions);
}

/* --- the client --- */

struct answer {
	int status;		   /* 0: the connection was closed without one */
	char text[RIG_ANSWER_MAX]; /* status line, headers, body */
	const char *body;
	size_t head_len, body_len;
};

static inline int dial(void)
{
	struct timeval limit = { .tv_sec = RIG_TIMEOUT_MS / 1000 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig_path);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static inline void say_mem(int fd, const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		CHECK(n > 0);
		s += n;
		len -= (size_t)n;
	}
}

static inline void say(int fd, const char *s)
{
	say_mem(fd, s, strlen(s));
}

/* In one piece, so that a server that closes at once does not fail the second send. */
static inline void ask(int fd, const char *method, const char *path, const char *body)
{
	size_t cap = strlen(method) + strlen(path) + strlen(body) + 100;
	char *request = malloc(cap);

	CHECK(request);
	snprintf(request, cap, "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s", method,
		 path, strlen(body), body);
	say(fd, request);
	free(request);
}

static inline const char *header_of(const struct answer *a, const char *name)
{
	static _Thread_local char value[256];
	size_t len = strlen(name);

	for (const char *at = a->text; at < a->text + a->head_len;) {
		const char *end = strstr(at, "\r\n");

		if (strncasecmp(at, name, len) == 0 && at[len] == ':') {
			at += len + 1 + strspn(at + len + 1, " ");
			snprintf(value, sizeof(value), "%.*s", (int)(end - at), at);
			return value;
		}
		at = end + 2;
	}
	return NULL;
}

/* Reads exactly one answer, so that what is pipelined behind it stays in the socket. */
static inline void hear(int fd, struct answer *a)
{
	size_t len = 0, want = 0;
	const char *length;
	ssize_t n;

	a->status = 0;
	a->head_len = a->body_len = 0;
	a->text[0] = '\0';
	a->body = a->text;
	while (!strstr(a->text, "\r\n\r\n")) {
		CHECK(len < sizeof(a->text) - 1);
		n = recv(fd, a->text + len, 1, 0);
		if (n < 0)
			CHECK_EQ(errno, ECONNRESET);
		if (n <= 0)
			return;
		len += (size_t)n;
		a->text[len] = '\0';
	}
	a->head_len = len;
	CHECK_EQ(sscanf(a->text, "HTTP/1.1 %d", &a->status), 1);
	length = header_of(a, "Content-Length");
	want = length ? strtoul(length, NULL, 10) : 0;
	CHECK(len + want < sizeof(a->text));
	a->body = a->text + len;
	while (a->body_len < want) {
		n = recv(fd, a->text + len, want - a->body_len, 0);
		CHECK(n > 0);
		len += (size_t)n;
		a->body_len += (size_t)n;
	}
	a->text[len] = '\0';
}

static inline void call_api(int fd, const char *method, const char *path, const char *body,
			    struct answer *a)
{
	ask(fd, method, path, body);
	hear(fd, a);
}

/* The server has closed: nothing more comes. */
static inline void check_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	CHECK(n == 0 || (n < 0 && errno == ECONNRESET));
}

#define CHECK_TEXT(a, b)                                                                     \
	do {                                                                                 \
		const char *a_ = (a), *b_ = (b);                                             \
		if (!a_ || strcmp(a_, b_) != 0) {                                            \
			fprintf(stderr, "# %s:%d: %s is\n#   %s\n# not\n#   %s\n", __FILE__, \
				__LINE__, #a, a_ ? a_ : "(none)", b_);                       \
			exit(1);                                                             \
		}                                                                            \
	} while (0)
