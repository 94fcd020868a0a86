/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/flush.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/metrics.h"
#include "test.h"

static const char *const names[] = { "n" };
static counter_t n;
static const struct metrics_shape shape = METRICS_SHAPE("g", names, counter_t);
static const struct metrics_shape *const schema[] = { &shape };
static struct metrics_group group = { .shape = &shape, .counters = &n };

static char folder[] = "/tmp/flush-XXXXXX";
static struct loop loop;
static struct flush flush;
static struct err err;

static void begin(const char *properties)
{
	CHECK(mkdtemp(folder));
	CHECK_EQ(chdir(folder), 0);
	metrics_set_schema(schema, ARRAY_SIZE(schema));
	CHECK_EQ(metrics_add(&group), 0);
	CHECK_EQ(loop_init(&loop), 0);
	flush_init(&flush, &loop);
	if (properties)
		CHECK_EQ(mkfifo("m", 0600), 0);
	CHECK_EQ(metrics_open("m", NULL, properties, &err), 0);
}

static void end(void)
{
	flush_fini(&flush);
	loop_fini(&loop);
	metrics_remove(&group);
	CHECK_EQ(unlink("m"), 0);
	CHECK_EQ(rmdir(folder), 0);
}

static unsigned lines(void)
{
	char text[4096];
	int fd = open("m", O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text));
	unsigned found = 0;

	CHECK(len >= 0);
	for (ssize_t i = 0; i < len; i++)
		found += text[i] == '\n';
	close(fd);
	return found;
}

/* A minute later. */
static void pass_time(void)
{
	flush.timer.fn(&flush.timer);
}

static void check_armed(void)
{
	usec_t now = clock_monotonic();

	CHECK(flush.timer.due > now + 50 * USEC_PER_SEC);
	CHECK(flush.timer.due <= now + 60 * USEC_PER_SEC);
}

TEST(a_line_at_the_start_and_every_minute)
{
	begin(NULL);
	CHECK_EQ(lines(), 0);
	flush_start(&flush);
	CHECK_EQ(lines(), 1);
	check_armed();
	pass_time();
	CHECK_EQ(lines(), 2);
	check_armed();
	CHECK_EQ(flush_now(&flush, &err), 0);
	CHECK_EQ(lines(), 3);
	end();
}

TEST(a_pause_stops_the_clock_but_not_a_request)
{
	begin(NULL);
	flush_start(&flush);
	flush_freeze(&flush);
	pass_time();
	pass_time();
	CHECK_EQ(lines(), 1);
	CHECK_EQ(flush_now(&flush, &err), 0);
	CHECK_EQ(lines(), 2);
	flush_thaw(&flush);
	CHECK_EQ(lines(), 3); /* one that was due, not two */
	flush_freeze(&flush);
	flush_thaw(&flush);
	CHECK_EQ(lines(), 3);
	pass_time();
	CHECK_EQ(lines(), 4);
	end();
}

/* {"p":"xxx..."}, so that a line is longer than what a pipe takes as a whole. */
static const char *long_properties(void)
{
	static char text[METRICS_PROPERTIES_MAX];

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "{\"p\":\"", 6);
	memcpy(text + sizeof(text) - 3, "\"}", 3);
	return text;
}

TEST(the_rest_of_a_line_follows_when_the_reader_has_made_room)
{
	static const char fill[4096];
	char got[16384];
	ssize_t len;

	begin(long_properties());
	CHECK(fcntl(metrics_fd(), F_SETPIPE_SZ, 8192) == 8192);
	CHECK_EQ(write(metrics_fd(), fill, sizeof(fill)), 4096);
	flush_start(&flush);
	CHECK(metrics_unfinished());
	CHECK_EQ(loop_turn(&loop, 0), 0); /* no room, no progress, nobody waits */
	CHECK(metrics_unfinished());
	CHECK_EQ(flush_now(&flush, &err), -EAGAIN);
	CHECK(strstr(err.msg, "its reader is too slow or gone"));
	len = read(metrics_fd(), got, sizeof(got));
	CHECK_EQ(len, 8192);
	CHECK_EQ(loop_turn(&loop, 1000), 0);
	CHECK(!metrics_unfinished());
	CHECK(!flush.room.added);
	len += read(metrics_fd(), got + len, sizeof(got) - (size_t)len);
	CHECK_EQ(got[len - 1], '\n');
	CHECK_EQ(flush_now(&flush, &err), 0);
	end();
}

TEST(without_a_file_nothing_is_wrong)
{
	CHECK_EQ(loop_init(&loop), 0);
	flush_init(&flush, &loop);
	flush_start(&flush);
	pass_time();
	CHECK_EQ(flush_now(&flush, &err), 0);
	flush_fini(&flush);
	loop_fini(&loop);
}
