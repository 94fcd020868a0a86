/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that stall, flood, die and outlive the server; and its start and end. */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"
#include "rig.h"

enum { LIMIT = 10 }; /* connections, contract 1.1 */

static struct answer a;

static const char drive[] = "{\"drive_id\":\"d\",\"is_root_device\":false,\"path_on_host\":\"/d\"}";

static bool served(int fd)
{
	call_api(fd, "GET", "/", "", &a);
	return a.status == 200;
}

/* A connection with service, once the server has noticed that others have gone. */
static int dial_served(void)
{
	for (int i = 0; i < 5000; i++) {
		int fd = dial();

		if (served(fd))
			return fd;
		CHECK_EQ(a.status, 503);
		close(fd);
		usleep(10000);
	}
	CHECK_EQ(a.status, 200); /* none was served */
	return -1;
}

TEST(ten_connections_are_served_and_the_eleventh_is_refused)
{
	char *large = calloc(1, 1 << 20);
	int fds[LIMIT], more;

	CHECK(large);
	memset(large, ' ', (1 << 20) - 1);
	rig_start();
	for (int i = 0; i < LIMIT; i++) {
		fds[i] = dial();
		CHECK(served(fds[i]));
	}
	for (int i = 0; i < 20; i++) {
		more = dial();
		if (i % 3 > 0) /* with nothing, a request or much to say */
			ask(more, "PUT", "/entropy", i % 3 == 1 ? "{}" : large);
		hear(more, &a);
		CHECK_EQ(a.status, 503);
		CHECK_TEXT(a.body, "{ \"error\": \"Too many open connections\" }");
		CHECK_EQ(a.body_len, 40);
		CHECK_TEXT(header_of(&a, "Connection"), "close");
		check_closed(more);
		close(more);
		if (i == 0)
			for (int j = 0; j < LIMIT; j++)
				CHECK(served(fds[j]));
	}
	/* One goes, one may come. */
	close(fds[4]);
	CHECK(served(dial_served()));
	rig_stop();
	free(large);
}

/*
 * More than the server takes at a time, refusals included, wait to be accepted; they must
 * not be forgotten when all the others go at once. While the test holds the views' lock,
 * the server waits in a GET and learns of nothing.
 */
TEST(who_waits_in_the_backlog_gets_an_answer_when_others_go)
{
	enum { ALL = 16 };
	int fds[ALL], waiting;

	rig_start();
	for (int i = 0; i < ALL; i++) {
		fds[i] = dial();
		if (i < LIMIT)
			CHECK(served(fds[i]));
		else
			hear(fds[i], &a);
		CHECK_EQ(a.status, i < LIMIT ? 200 : 503);
	}
	waiting = dial();
	ask(waiting, "GET", "/version", "");
	usleep(50000); /* the server has seen that it takes no more */
	pthread_mutex_lock(&rig_vmm.views.lock);
	ask(fds[0], "GET", "/", "");
	usleep(50000);
	for (int i = 0; i < ALL; i++)
		close(fds[i]);
	pthread_mutex_unlock(&rig_vmm.views.lock);
	hear(waiting, &a);
	CHECK(a.status == 200 || a.status == 503);
	close(waiting);
	rig_stop();
}

TEST(connections_that_say_nothing_do_not_lock_others_out)
{
	int fds[LIMIT], fd;

	rig_start();
	for (int i = 0; i < LIMIT; i++) {
		fds[i] = dial();
		if (i % 2)
			say(fds[i], "PUT /entropy HTTP/1.1\r\nContent-Length: 100\r\n\r\n{");
	}
	do {
		fd = dial();
		ask(fd, "GET", "/", "");
		hear(fd, &a);
		close(fd);
		usleep(50000);
	} while (a.status != 200);
	rig_stop();
}

TEST(with_room_left_a_silent_connection_stays)
{
	int first, second;

	rig_start();
	first = dial();
	CHECK(served(first));
	second = dial();
	CHECK(served(second));
	usleep(2500000);
	CHECK(served(first));
	CHECK(served(second));
	rig_stop();
}

TEST(a_stalled_client_delays_nobody)
{
	enum { ROUNDS = 300 };
	int waiting, busy, reader;

	rig_start();
	waiting = dial(); /* half a body */
	say(waiting, "PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\n\r\n{");
	rig_set(hold, true); /* an action that takes its time */
	busy = dial();
	ask(busy, "PUT", "/drives/d", drive);
	rig_await(1);
	reader = dial(); /* asks and never reads */
	for (int i = 0; i < 2000; i++) {
		static const char get[] = "GET /vm/config HTTP/1.1\r\nHost: h\r\n\r\n";

		if (send(reader, get, sizeof(get) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
			break;
	}

	int fd = dial();

	for (int i = 0; i < ROUNDS; i++)
		CHECK(served(fd));
	CHECK_EQ(rig_get(nanswers), 0); /* all of that while the action ran */
	rig_set(hold, false);
	hear(busy, &a);
	CHECK_EQ(a.status, 204);
	say(waiting, "}");
	hear(waiting, &a);
	CHECK_EQ(a.status, 204);
	rig_stop();
}

TEST(clients_that_die_leave_nothing_behind)
{
	static const char request[] =
		"PUT /drives/d HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n{\"drive_id\":";
	int fd;

	rig_start();
	for (size_t i = 0; i < sizeof(request); i++) { /* at every byte of a request */
		fd = dial();
		say_mem(fd, request, i);
		close(fd);
	}
	fd = dial_served();
	CHECK(served(fd));
	CHECK_EQ(rig_get(nactions), 0);
	rig_stop();
}

TEST(a_client_may_die_while_its_action_runs)
{
	enum { ROUNDS = 25 };
	int fd;

	rig_start();
	for (unsigned i = 1; i <= ROUNDS; i++) {
		rig_set(hold, true);
		rig_set(failure, i % 2 ? "too late" : NULL);
		fd = dial();
		ask(fd, "PUT", "/drives/d", drive);
		rig_await(i);
		close(fd);
		rig_set(hold, false);
		rig_await_count(&rig_vmm.nanswers, i);
	}
	fd = dial();
	CHECK(served(fd));
	rig_stop();
}

TEST(requests_behind_a_running_action_wait_for_it)
{
	struct pollfd p = { .events = POLLIN };
	int fd;

	rig_start();
	rig_set(hold, true);
	fd = p.fd = dial();
	ask(fd, "PUT", "/drives/d", drive);
	ask(fd, "PUT", "/drives/d", drive);
	ask(fd, "GET", "/", "");
	rig_await(1);
	CHECK_EQ(poll(&p, 1, 100), 0);
	CHECK_EQ(rig_get(nactions), 1); /* one at a time for each connection */
	rig_set(hold, false);
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	hear(fd, &a);
	CHECK_EQ(a.status, 200);
	CHECK_EQ(rig_get(nactions), 2);
	rig_stop();
}

TEST(the_server_stops_while_actions_run)
{
	int fds[LIMIT];

	rig_start();
	rig_set(hold, true);
	for (int i = 0; i < LIMIT; i++) {
		fds[i] = dial();
		ask(fds[i], "PUT", "/drives/d", drive);
	}
	rig_await(LIMIT);
	rig_api_stop();
	for (int i = 0; i < LIMIT; i++)
		check_closed(fds[i]);
	rig_vmm_stop(); /* answers them now */
}

enum stage { VIEWS_FREE, VIEWS_HELD, VIEWS_LET_GO };

static void set_stage(int *stage, enum stage now)
{
	__atomic_store_n(stage, now, __ATOMIC_RELEASE);
}

static void await_stage(const int *stage, enum stage then)
{
	while (__atomic_load_n(stage, __ATOMIC_ACQUIRE) != (int)then)
		usleep(1000);
}

/* Keeps the views' lock, and with it every GET, until a little after it is told. */
static void *hold_views(void *stage)
{
	pthread_mutex_lock(&rig_vmm.views.lock);
	set_stage(stage, VIEWS_HELD);
	await_stage(stage, VIEWS_LET_GO);
	usleep(20000);
	pthread_mutex_unlock(&rig_vmm.views.lock);
	return NULL;
}

/*
 * As when an action ends the machine: main answers, and stops the API at once, here
 * while the server is busy with a GET and has not yet looked into its mailbox.
 */
TEST(replies_that_are_due_leave_before_the_end)
{
	int fds[LIMIT], getter, stage = VIEWS_FREE;
	pthread_t holder;

	for (int round = 0; round < 10; round++) {
		rig_vmm = (struct vmm){ .hold = true };
		rig_start();
		getter = dial();
		CHECK(served(getter));
		for (int i = 1; i < LIMIT; i++) {
			fds[i] = dial();
			ask(fds[i], "PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}");
		}
		rig_await(LIMIT - 1);
		for (int i = 1; i < LIMIT; i++) /* comes too late */
			ask(fds[i], "PUT", "/entropy", "{}");
		ask(getter, "GET", "/version", "");
		hear(getter, &a); /* so the server has had the time to see that */
		rig_main_stop();
		CHECK_EQ(pthread_create(&holder, NULL, hold_views, &stage), 0);
		await_stage(&stage, VIEWS_HELD);
		ask(getter, "GET", "/", "");
		usleep(20000);
		rig_answer_held();
		set_stage(&stage, VIEWS_LET_GO);
		api_stop(rig_api);
		pthread_join(holder, NULL);
		CHECK(!mbox_take(&rig_vmm.box));
		rig_vmm_fini();
		close(getter);
		for (int i = 1; i < LIMIT; i++) {
			hear(fds[i], &a);
			CHECK_EQ(a.status, 204);
			check_closed(fds[i]);
			close(fds[i]);
		}
	}
}

static void *hammer(void *arg)
{
	enum { REQUESTS = 500 };
	struct answer *mine = malloc(sizeof(*mine));
	int fd = dial();

	(void)arg;
	CHECK(mine);
	for (int i = 0; i < REQUESTS; i++) {
		switch (i % 4) {
		case 0:
			call_api(fd, "PUT", "/drives/d", drive, mine);
			CHECK_EQ(mine->status, 204);
			break;
		case 1:
			call_api(fd, "GET", "/vm/config", "", mine);
			CHECK_EQ(mine->status, 200);
			break;
		case 2:
			call_api(fd, "PUT", "/drives/d", "{", mine);
			CHECK_EQ(mine->status, 400);
			break;
		default:
			close(fd);
			fd = dial();
		}
	}
	close(fd);
	free(mine);
	return NULL;
}

TEST(two_clients_hammer)
{
	pthread_t threads[2];

	rig_start();
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, hammer, NULL), 0);
	for (int i = 0; i < 200; i++) { /* views change meanwhile */
		CHECK_EQ(view_publish(&rig_vmm.views,
				      &(struct view_texts){ RIG_INSTANCE, RIG_MACHINE, RIG_CONFIG,
							    NULL }),
			 0);
		usleep(500);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(rig_get(nactions), 250);
	rig_stop();
}

/* --- start and end --- */

static int start_fails(const struct api_cfg *cfg, const char *message)
{
	struct err e = { 0 };
	int r = api_start(cfg, &rig_api, &e);

	CHECK(r < 0);
	CHECK_EQ(e.code, r);
	if (!strstr(e.msg, message))
		fprintf(stderr, "# %s\n", e.msg);
	CHECK(strstr(e.msg, message));
	return r;
}

TEST(a_path_in_use_is_refused_and_left_alone)
{
	struct api_cfg cfg = rig_cfg();
	struct stat st;
	char message[200];
	FILE *f = fopen(rig_path, "w");

	CHECK(f);
	fclose(f);
	snprintf(message, sizeof(message),
		 "Failed to open the API socket at: %s. Check that it is not already used.",
		 rig_path);
	CHECK_EQ(start_fails(&cfg, message), -EADDRINUSE);
	CHECK_EQ(lstat(rig_path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(unlink(rig_path), 0);
	cfg.sock_path = "/nowhere/at/all";
	CHECK_EQ(start_fails(&cfg, "No such file or directory"), -ENOENT);
}

TEST(the_path_may_have_107_bytes)
{
	struct api_cfg cfg = rig_cfg();
	char path[128];
	struct err e = { 0 };

	rig_vmm_start();
	snprintf(path, sizeof(path), "/tmp/%d%0100d", getpid(), 0);
	path[108] = '\0';
	cfg.sock_path = path;
	CHECK_EQ(start_fails(&cfg, "has 108 bytes; a Unix socket's path may have 107"),
		 -ENAMETOOLONG);
	cfg.sock_path = "";
	CHECK_EQ(start_fails(&cfg, "path of the API socket is empty"), -EINVAL);
	cfg.sock_path = path;
	path[107] = '\0';
	CHECK_EQ(api_start(&cfg, &rig_api, &e), 0);
	CHECK_EQ(access(path, F_OK), 0);
	rig_stop();
	CHECK(access(path, F_OK) < 0);
}

TEST(the_umask_rules_the_socket)
{
	struct stat st;

	umask(0177);
	rig_start();
	CHECK_EQ(lstat(rig_path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	rig_stop();
	CHECK(lstat(rig_path, &st) < 0);
}

TEST(only_our_own_socket_is_removed)
{
	FILE *f;

	rig_start();
	CHECK_EQ(unlink(rig_path), 0);
	f = fopen(rig_path, "w");
	CHECK(f);
	fclose(f);
	rig_stop();
	CHECK_EQ(access(rig_path, F_OK), 0);
}

static pthread_t entered_on;
static enum thread_kind entered_as;

static int enter(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	(void)e;
	entered_on = pthread_self();
	entered_as = kind;
	return 0;
}

static int refuse_to_enter(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	(void)kind;
	return err_set(e, ERR_INTERNAL, -EPERM, "the filter of the API thread: not permitted");
}

TEST(the_thread_is_isolated_before_it_serves)
{
	const struct isolation good = { .enter = enter }, bad = { .enter = refuse_to_enter };
	struct api_cfg cfg = rig_cfg();
	struct err e = { 0 };
	int fd;

	cfg.isolation = &bad;
	CHECK_EQ(start_fails(&cfg, "the filter of the API thread: not permitted"), -EPERM);
	CHECK(access(rig_path, F_OK) < 0);

	rig_vmm_start();
	cfg.isolation = &good;
	CHECK_EQ(api_start(&cfg, &rig_api, &e), 0);
	CHECK_EQ(entered_as, THREAD_API);
	CHECK(!pthread_equal(entered_on, pthread_self()));
	fd = dial();
	CHECK(served(fd));
	rig_stop();
}

TEST(every_failure_of_the_start_is_reported_and_undone)
{
	struct api_cfg cfg = rig_cfg();
	struct err e = { 0 };
	int fd, n, r = -1;

	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	rig_vmm_start();
	fd = dup(0);
	close(fd);
	for (n = 0; n < 100 && r < 0; n++) {
		e = (struct err){ 0 };
		fault_arm(n);
		r = api_start(&cfg, &rig_api, &e);
		if (r < 0) {
			int again = dup(0);

			CHECK_EQ(e.code, r);
			CHECK(e.msg[0]);
			CHECK_EQ(again, fd); /* no descriptor is lost */
			close(again);
			CHECK(access(rig_path, F_OK) < 0);
		}
	}
	fault_arm(-1);
	CHECK(n > 8);
	fd = dial();
	CHECK(served(fd));
	rig_stop();
}

TEST(running_out_of_memory_costs_one_request)
{
	int fd, refused = 0;

	rig_start();
	for (int n = 0; n < 12; n++) {
		fault_arm(n);
		fd = dial();
		ask(fd, "PUT", "/entropy", "{}");
		hear(fd, &a);
		fault_arm(-1);
		CHECK(a.status == 204 || a.status == 400 || a.status == 0);
		refused += a.status != 204;
		close(fd);
		fd = dial();
		CHECK(served(fd));
		close(fd);
	}
	rig_stop();
	if (refused == 0)
		SKIP("a build without fault injection");
	CHECK(refused >= 4);
}
