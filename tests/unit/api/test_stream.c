/* SPDX-License-Identifier: Apache-2.0 */
/* GET /events and GET /metrics on the wire. */
#include "base/events.h"
#include "base/stage.h"
#include "rig.h"

static struct answer a;

static bool served(int fd)
{
	call_api(fd, "GET", "/", "", &a);
	return a.status == 200;
}

static int subscribe(void)
{
	int fd = dial();

	ask(fd, "GET", "/events", "");
	hear(fd, &a);
	return fd;
}

/* Subscribed, once the server has noticed that others have gone. */
static int subscribe_in_the_end(void)
{
	for (int i = 0; i < 5000; i++) {
		int fd = subscribe();

		if (a.status == 200)
			return fd;
		CHECK_EQ(a.status, 400);
		close(fd);
		usleep(10000);
	}
	CHECK_EQ(a.status, 200);
	return -1;
}

static char read_so_far[512 << 10];

/* Reads until the text has come. */
static void expect(int fd, const char *text)
{
	size_t len = 0;

	read_so_far[0] = '\0';
	while (!strstr(read_so_far, text)) {
		ssize_t n = recv(fd, read_so_far + len, sizeof(read_so_far) - len - 1, 0);

		CHECK(n > 0);
		len += (size_t)n;
		read_so_far[len] = '\0';
	}
}

TEST(events_come_as_chunks_and_end_with_the_server)
{
	int fd;

	rig_start();
	event_emit("too-early", NULL);
	fd = subscribe();
	CHECK_EQ(a.status, 200);
	CHECK_TEXT(header_of(&a, "Transfer-Encoding"), "chunked");
	CHECK_TEXT(header_of(&a, "Content-Type"), "application/x-ndjson");
	CHECK_TEXT(header_of(&a, "Server"), "Firecracker API");
	event_emit("one", NULL);
	expect(fd, "\"event\":\"one\"}\n\r\n");
	CHECK(!strstr(read_so_far, "too-early"));
	for (int i = 0; i < 3; i++)
		event_emit("more", NULL);
	event_emit("two", NULL);
	expect(fd, "\"event\":\"two\"}\n\r\n");
	event_emit("last", NULL);
	rig_api_stop();
	expect(fd, "\r\n0\r\n\r\n");
	CHECK(strstr(read_so_far, "\"event\":\"last\"}\n\r\n"));
	check_closed(fd);
	close(fd);
	rig_vmm_stop();
}

TEST(two_subscribers_beside_ten_connections)
{
	int fds[10], watch[2], third;

	rig_start();
	for (int i = 0; i < 2; i++) {
		watch[i] = subscribe();
		CHECK_EQ(a.status, 200);
	}
	third = subscribe();
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body,
		   "{\"fault_message\":\"Events error: 2 clients watch already; there is no "
		   "room for more\"}");
	fds[0] = third; /* it is a connection like others */
	CHECK(served(third));
	for (int i = 1; i < 10; i++) {
		fds[i] = dial();
		CHECK(served(fds[i]));
	}
	event_emit("both", NULL);
	for (int i = 0; i < 2; i++)
		expect(watch[i], "\"event\":\"both\"}");
	for (int i = 0; i < 10; i++) {
		CHECK(served(fds[i]));
		close(fds[i]);
	}
	for (int i = 0; i < 2; i++)
		close(watch[i]);
	rig_stop();
}

TEST(who_goes_away_makes_room)
{
	rig_start();
	for (int i = 0; i < 6; i++) {
		int first = subscribe_in_the_end();
		int second = subscribe_in_the_end();

		if (i % 3 == 0)
			CHECK_EQ(shutdown(first, SHUT_WR), 0); /* it is let go of as well */
		if (i % 3 == 1)
			event_emit("x", NULL);
		close(first);
		close(second);
	}
	rig_stop();
}

TEST(a_reader_that_is_slow_loses_events_and_delays_nobody)
{
	int slow, quick, other;
	unsigned long lost;
	char *at;

	rig_start();
	slow = subscribe();
	quick = subscribe();
	other = dial();
	for (int i = 0; i < 20000; i++) {
		event_emit("flood", "text", "0123456789012345678901234567890123456789", NULL);
		if (i % 100 == 0) {
			event_emit("mark", NULL);
			expect(quick, "\"event\":\"mark\"}\n");
			CHECK(served(other));
		}
	}
	event_emit("end", NULL);
	expect(quick, "\"event\":\"end\"}\n");
	expect(slow, "\"event\":\"end\"}\n");
	at = strstr(read_so_far, "{\"lost\":");
	CHECK(at);
	lost = strtoul(at + 8, NULL, 10);
	CHECK(lost > 1000);
	close(slow);
	close(quick);
	close(other);
	rig_stop();
}

TEST(metrics_do_not_wait_for_the_main_thread)
{
	int fd, other;

	rig_start();
	rig_set(hold, true); /* an action that takes long */
	fd = dial();
	other = dial();
	ask(fd, "PUT", "/entropy", "{}");
	rig_await(1);
	call_api(other, "GET", "/metrics", "", &a);
	CHECK_EQ(a.status, 200);
	CHECK_EQ(rig_get(nanswers), 0);
	rig_set(hold, false);
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	close(fd);
	close(other);
	rig_stop();
}

TEST(metrics_are_text)
{
	size_t len;
	int fd;

	stage_mark(STAGE_PROCESS_START);
	rig_start();
	fd = dial();
	call_api(fd, "GET", "/version", "", &a);
	call_api(fd, "GET", "/metrics", "", &a);
	CHECK_EQ(a.status, 200);
	CHECK_TEXT(header_of(&a, "Content-Type"),
		   "application/openmetrics-text; version=1.0.0; charset=utf-8");
	CHECK(strstr(a.body, "\nwisp_get_api_requests_vmm_version_count_total 1\n"));
	CHECK(strstr(a.body, "\nwisp_boot_stage_seconds{stage=\"api_ready\"} 0."));
	len = strlen(a.body);
	CHECK_EQ(len, a.body_len);
	CHECK(len > 6 && strcmp(a.body + len - 6, "# EOF\n") == 0);
	close(fd);
	rig_stop();
}
