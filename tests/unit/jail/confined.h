/* SPDX-License-Identifier: Apache-2.0 */
/* A thread under a filter, in a process of its own whose end is looked at. */
#pragma once

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/filter.h"
#include "jail/isolation.h"
#include "test.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SKIP_IF_SANITIZED()                                                              \
	do {                                                                             \
		if (SANITIZED)                                                           \
			SKIP("a sanitizer's runtime makes calls that no policy allows"); \
	} while (0)

enum { BROKEN_TEST = 90 }; /* exit status: the test itself failed before the filter was on */

struct call {
	long nr;
	unsigned long arg[4];
};

struct confined {
	const struct isolation *iso;
	enum thread_kind kind;
	void (*run)(const struct confined *);
	const struct call *call;
	int status;	/* of the process */
	char text[512]; /* what it reported */
};

/* An argument that becomes the id of the process that makes the call. */
#define SELF ((unsigned long)-4711)

static inline void make_call(const struct confined *c)
{
	const struct call *k = c->call;

	(void)syscall(k->nr, k->arg[0] == SELF ? (unsigned long)getpid() : k->arg[0], k->arg[1],
		      k->arg[2], k->arg[3], 0, 0);
}

static void *confined_thread(void *arg)
{
	struct confined *c = arg;
	struct err e = { 0 };

	pthread_setname_np(pthread_self(), "fc_vcpu 3");
	if (c->iso->enter(c->iso, c->kind, &e) < 0) {
		fprintf(stderr, "# %s\n", e.msg);
		_exit(BROKEN_TEST);
	}
	c->run(c);
	if (c->kind == THREAD_VMM)
		_exit(0); /* main ends with the process; as a thread it may not end */
	return NULL;
}

static inline void confined_process(struct confined *c, int report_fd)
{
	pthread_t id;
	struct err e = { 0 };

	filter_set_report_fd(report_fd);
	if (filter_init(&e) < 0 || pthread_create(&id, NULL, confined_thread, c) != 0 ||
	    pthread_join(id, NULL) != 0)
		_exit(BROKEN_TEST);
	_exit(0);
}

/* Fills status and text. */
static inline void confined_run(struct confined *c)
{
	int pipefd[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(pipefd) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(pipefd[0]);
		confined_process(c, pipefd[1]);
	}
	close(pipefd[1]);
	while ((n = read(pipefd[0], c->text + len, sizeof(c->text) - 1 - len)) > 0)
		len += (size_t)n;
	c->text[len] = '\0';
	close(pipefd[0]);
	CHECK(waitpid(pid, &c->status, 0) == pid);
}

static inline bool was_allowed(const struct confined *c)
{
	return WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0 && c->text[0] == '\0';
}

static inline bool was_denied(const struct confined *c)
{
	return WIFEXITED(c->status) && WEXITSTATUS(c->status) == FILTER_EXIT &&
	       strstr(c->text, "bad syscall") != NULL;
}

static inline bool was_killed(const struct confined *c, int sig)
{
	return WIFSIGNALED(c->status) && WTERMSIG(c->status) == sig;
}
