/* SPDX-License-Identifier: Apache-2.0 */
#include "base/events.h"

#include <pthread.h>

#include "base/fd.h"
#include "base/text.h"
#include "test.h"

static struct event_reader reader;
static char got[EVENTS_KEPT * EVENT_LINE_MAX + 1];

static const char *take(size_t cap)
{
	size_t n = events_read(&reader, got, cap);

	CHECK(n < cap || cap == 0);
	got[n] = '\0';
	return got;
}

static const char *take_all(void)
{
	return take(sizeof(got));
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text++;
	}
	return n;
}

/* What stands behind the time. */
static void check_event(const char *line, const char *rest)
{
	CHECK(strncmp(line, "{\"utc_timestamp_ms\":1", 21) == 0);
	line += 20 + strspn(line + 20, "0123456789");
	if (strcmp(line, rest) == 0)
		return;
	fprintf(stderr, "# got  %s\n# want %s\n", line, rest);
	exit(1);
}

TEST(a_reader_gets_what_comes_after_it)
{
	event_emit("early", NULL);
	events_begin(&reader);
	CHECK_EQ(take_all()[0], '\0');
	event_emit("started", NULL);
	check_event(take_all(), ",\"event\":\"started\"}\n");
	CHECK_EQ(take_all()[0], '\0');
	event_emit("x", "device", "block `a'", "why", "\"\n", NULL);
	check_event(take_all(), ",\"event\":\"x\",\"device\":\"block `a'\",\"why\":\"\\\"\\n\"}\n");
}

TEST(a_text_that_does_not_fit_is_left_out)
{
	char longer[EVENT_LINE_MAX];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	events_begin(&reader);
	event_emit("x", "a", longer, "b", "c", NULL);
	check_event(take_all(), ",\"event\":\"x\",\"b\":\"c\"}\n");
}

TEST(what_was_overwritten_is_one_line)
{
	events_begin(&reader);
	for (int i = 0; i < EVENTS_KEPT; i++)
		event_emit("a", NULL);
	CHECK_EQ(count(take_all(), "\"a\""), EVENTS_KEPT); /* just fits */
	CHECK_EQ(count(got, "lost"), 0);
	for (int i = 0; i < EVENTS_KEPT + 1; i++)
		event_emit("b", NULL);
	CHECK(strncmp(take_all(), "{\"lost\":1}\n{\"utc", 16) == 0);
	CHECK_EQ(count(got, "\"b\""), EVENTS_KEPT);
	for (int i = 0; i < 3 * EVENTS_KEPT; i++)
		event_emit("c", NULL);
	CHECK(strncmp(take_all(), "{\"lost\":512}\n", 13) == 0);
	CHECK_EQ(count(got, "\"c\""), EVENTS_KEPT);
	CHECK_EQ(take_all()[0], '\0');
}

TEST(lines_come_whole)
{
	unsigned n = 0;

	events_begin(&reader);
	for (int i = 0; i < 40; i++)
		event_emit("a", "text", "0123456789", NULL);
	while (take(EVENT_LINE_MAX)[0]) {
		CHECK_EQ(got[strlen(got) - 1], '\n');
		n += count(got, "\"event\":\"a\"");
		CHECK_EQ(count(got, "\n"), count(got, "{"));
	}
	CHECK_EQ(n, 40);
}

TEST(readers_do_not_know_of_each_other)
{
	struct event_reader slow;

	events_begin(&slow);
	events_begin(&reader);
	event_emit("a", NULL);
	CHECK_EQ(count(take_all(), "\"a\""), 1);
	event_emit("b", NULL);
	CHECK_EQ(count(take_all(), "\"b\""), 1);
	reader = slow;
	CHECK_EQ(count(take_all(), "event"), 2);
}

TEST(whoever_waits_is_woken)
{
	int fd = fd_event_create();

	CHECK(fd >= 0);
	event_emit("a", NULL);
	CHECK(!fd_event_take(fd));
	events_wake(fd);
	event_emit("a", NULL);
	CHECK(fd_event_take(fd));
	events_wake(-1);
	event_emit("a", NULL);
	CHECK(!fd_event_take(fd));
	close(fd);
}

static void *emit_many(void *arg)
{
	for (int i = 0; i < 2000; i++)
		event_emit("a", NULL);
	return arg;
}

TEST(threads_emit_while_others_read)
{
	pthread_t t[2];
	unsigned n = 0;

	events_begin(&reader);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, emit_many, NULL), 0);
	for (int rounds = 0; n < 4000; rounds++) {
		const char *lost = strstr(take_all(), "{\"lost\":");

		CHECK(rounds < 100000000);
		n += count(got, "\"event\":\"a\"}\n");
		n += lost ? (unsigned)strtoul(lost + 8, NULL, 10) : 0;
	}
	CHECK_EQ(n, 4000);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}
