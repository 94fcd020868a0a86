/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/log.h"
#include "test.h"

#define TOY_METRICS(X) X(reads) X(bytes)
struct toy_metrics {
#define X(name) counter_t name;
	TOY_METRICS(X)
#undef X
	struct latency read_agg;
	counter_t fails;
};
static const char *const toy_names[] = { TOY_METRICS(METRICS_NAME) "read_agg", "fails" };
static const char *const time_names[] = { "pause_vm" };
static const char *const own_names[] = { "secret" };

static const struct metrics_shape toy = METRICS_SHAPE("toy", toy_names, struct toy_metrics);
static const struct metrics_shape lone = METRICS_SHAPE("lone", time_names, counter_t,
						       .no_sum = true);
static const struct metrics_shape times = METRICS_SHAPE("times", time_names, counter_t,
							.values = true);
static const struct metrics_shape own = METRICS_SHAPE("own", own_names, counter_t, .ours = true);
static const struct metrics_shape *const schema[] = { &toy, &lone, &times, &own };

static struct toy_metrics a, b;
static counter_t pause_vm, secret;
static struct metrics_group group_a = { .shape = &toy, .id = "a", .counters = &a };
static struct metrics_group group_b = { .shape = &toy, .id = "b", .counters = &b };
static struct metrics_group group_times = { .shape = &times, .counters = &pause_vm };
static struct metrics_group group_own = { .shape = &own, .counters = &secret };

static char folder[] = "/tmp/metrics-XXXXXX";
static struct err err;

static void start(void)
{
	CHECK(mkdtemp(folder));
	CHECK_EQ(chdir(folder), 0);
	metrics_set_schema(schema, ARRAY_SIZE(schema));
}

static void finish(void)
{
	(void)!unlink("m");
	CHECK_EQ(rmdir(folder), 0);
}

/* The file's lines, each without its time. */
static const char *lines(void)
{
	static char text[1 << 16], out[1 << 16];
	int fd = open("m", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	CHECK(n >= 0);
	text[n] = '\0';
	close(fd);
	out[0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *rest = strpbrk(line, ",}");

		CHECK(strncmp(line, "{\"utc_timestamp_ms\":", 20) == 0);
		CHECK(strtoull(line + 20, NULL, 10) > UINT64_C(1700000000000));
		strcat(out, rest);
		strcat(out, "\n");
	}
	return out;
}

static void check_text(const char *is, const char *should)
{
	if (strcmp(is, should) == 0)
		return;
	fprintf(stderr, "# got  %s\n# want %s\n", is, should);
	exit(1);
}

#define ZERO_AGG "\"read_agg\":{\"min_us\":0,\"max_us\":0,\"sum_us\":0}"
#define ZERO_TOY "{\"reads\":0,\"bytes\":0," ZERO_AGG ",\"fails\":0}"

TEST(shapes_without_a_group_are_zeros)
{
	start();
	CHECK_EQ(metrics_flush(), 0); /* nowhere */
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	CHECK_EQ(metrics_flush(), 0);
	check_text(lines(), ",\"toy\":" ZERO_TOY ",\"times\":{\"pause_vm\":0}}\n");
	finish();
}

TEST(each_line_has_what_came_since_the_last_and_sums_of_devices)
{
	start();
	CHECK_EQ(metrics_open("m", "vm-1", "{\"a\":\"b\"}", &err), 0);
	CHECK_EQ(metrics_add(&group_a) | metrics_add(&group_b) | metrics_add(&group_times) |
			 metrics_add(&group_own),
		 0);
	counter_add(&a.reads, 3);
	counter_add(&b.reads, UINT64_C(1) << 53);
	counter_inc(&b.fails);
	counter_set(&pause_vm, 70);
	counter_inc(&secret);
	latency_record(&a.read_agg, 9);
	latency_record(&a.read_agg, 4);
	latency_record(&b.read_agg, 12);
	CHECK_EQ(metrics_flush(), 0);
	counter_add(&a.reads, 2);
	latency_record(&a.read_agg, 6);
	CHECK_EQ(metrics_flush(), 0);
	check_text(lines(), ",\"id\":\"vm-1\",\"properties\":{\"a\":\"b\"},"
			    "\"toy\":{\"reads\":9007199254740995,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":4,\"max_us\":12,\"sum_us\":25},\"fails\":1},"
			    "\"toy_a\":{\"reads\":3,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":4,\"max_us\":9,\"sum_us\":13},\"fails\":0},"
			    "\"toy_b\":{\"reads\":9007199254740992,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":12,\"max_us\":12,\"sum_us\":12},\"fails\":1},"
			    "\"times\":{\"pause_vm\":70}}\n"
			    ",\"id\":\"vm-1\",\"properties\":{\"a\":\"b\"},"
			    "\"toy\":{\"reads\":2,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":4,\"max_us\":12,\"sum_us\":6},\"fails\":0},"
			    "\"toy_a\":{\"reads\":2,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":4,\"max_us\":9,\"sum_us\":6},\"fails\":0},"
			    "\"toy_b\":{\"reads\":0,\"bytes\":0,"
			    "\"read_agg\":{\"min_us\":12,\"max_us\":12,\"sum_us\":0},\"fails\":0},"
			    "\"times\":{\"pause_vm\":70}}\n");
	finish();
}

TEST(a_group_that_has_gone_is_not_printed)
{
	struct metrics_group group_lone = { .shape = &lone, .id = "x", .counters = &pause_vm };

	start();
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	metrics_remove(&group_a); /* never added */
	CHECK_EQ(metrics_add(&group_a) | metrics_add(&group_lone), 0);
	metrics_remove(&group_a);
	metrics_remove(&group_a);
	CHECK_EQ(metrics_flush(), 0);
	metrics_remove(&group_lone);
	check_text(lines(), ",\"toy\":" ZERO_TOY ",\"lone_x\":{\"pause_vm\":0},"
			    "\"times\":{\"pause_vm\":0}}\n");
	finish();
}

TEST(opened_once_and_an_error_does_not_count)
{
	start();
	CHECK_EQ(metrics_open("none/m", NULL, NULL, &err), -ENOENT);
	check_text(err.msg, "No such file or directory (os error 2)");
	CHECK_EQ(metrics_fd(), -1);
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	CHECK(metrics_fd() >= 0);
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), -EALREADY);
	check_text(err.msg, "Reinitialization of metrics not allowed.");
	finish();
}

/* --- FIFOs ------------------------------------------------------------------------ */

/* A FIFO without a reader that takes `room' more bytes. */
static void open_fifo(size_t room)
{
	static const char fill[4096];
	int fd;

	CHECK_EQ(mkfifo("m", 0600), 0);
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	fd = metrics_fd();
	CHECK(fcntl(fd, F_SETPIPE_SZ, 8192) == 8192);
	CHECK_EQ(write(fd, fill, sizeof(fill)), 4096);
	CHECK_EQ(write(fd, fill, 4096 - room), 4096 - room);
}

/* Takes what is in the FIFO; the caller's text is the bytes after the filling. */
static const char *drain(size_t filling)
{
	static char text[16384];
	ssize_t n = read(metrics_fd(), text, sizeof(text) - 1);

	CHECK(n >= (ssize_t)filling);
	text[n] = '\0';
	return text + filling;
}

TEST(what_a_full_fifo_lost_is_in_the_next_line)
{
	start();
	CHECK_EQ(metrics_add(&group_a), 0);
	open_fifo(0);
	counter_inc(&a.reads);
	CHECK_EQ(metrics_flush(), -EAGAIN);
	CHECK(!metrics_unfinished());
	CHECK_EQ(counter_get(&log_metrics.missed_metrics_count), 1);
	counter_inc(&a.reads);
	CHECK_EQ(drain(8192)[0], '\0');
	CHECK_EQ(metrics_flush(), 0);
	CHECK(strstr(drain(0), "\"toy_a\":{\"reads\":2,"));
	finish();
}

/*
 * A pipe takes the whole of a write of up to PIPE_BUF bytes or none of it; a longer one
 * may be cut where a page ends. So the line must be longer.
 */
TEST(a_line_that_was_cut_is_ended_before_the_next)
{
	static char properties[METRICS_PROPERTIES_MAX];
	static const char fill[4096];
	char got[16384];
	const char *second;

	start();
	memset(properties, 'x', sizeof(properties) - 1);
	memcpy(properties, "{\"p\":\"", 6);
	memcpy(properties + sizeof(properties) - 3, "\"}", 3);
	CHECK_EQ(mkfifo("m", 0600), 0);
	CHECK_EQ(metrics_open("m", NULL, properties, &err), 0);
	CHECK(fcntl(metrics_fd(), F_SETPIPE_SZ, 8192) == 8192);
	CHECK_EQ(write(metrics_fd(), fill, sizeof(fill)), 4096);
	CHECK_EQ(metrics_add(&group_a), 0);
	counter_inc(&a.reads);
	CHECK_EQ(metrics_flush(), 0);
	CHECK(metrics_unfinished());
	counter_inc(&a.reads);
	CHECK_EQ(metrics_flush(), -EAGAIN);
	strcpy(got, drain(4096));
	metrics_go_on();
	CHECK(!metrics_unfinished());
	strcat(got, drain(0));
	CHECK(strstr(got, "\"toy_a\":{\"reads\":1,"));
	CHECK(got[strlen(got) - 1] == '\n');
	CHECK_EQ(metrics_flush(), 0);
	second = drain(0);
	CHECK(strncmp(second, "{\"utc_", 6) == 0 && strstr(second, "\"toy_a\":{\"reads\":1,"));
	finish();
}

TEST(the_end_waits_for_a_slow_reader_and_not_for_none)
{
	start();
	CHECK_EQ(metrics_add(&group_a), 0);
	open_fifo(0);
	metrics_flush_end(20); /* the FIFO stays full */
	CHECK_EQ(counter_get(&log_metrics.missed_metrics_count), 1);
	if (fork() == 0) {
		char buf[8192];

		usleep(50000);
		_exit(read(metrics_fd(), buf, sizeof(buf)) == 8192 ? 0 : 1);
	}
	metrics_flush_end(20000);
	CHECK(strstr(drain(0), "\"toy_a\":{"));
	finish();
}

TEST(a_dying_process_says_it_once)
{
	int status;

	start();
	CHECK_EQ(metrics_add(&group_a), 0);
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	if (fork() == 0) {
		counter_inc(&a.fails);
		metrics_flush_dying();
		metrics_flush_dying(); /* the claim is not given back */
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	check_text(lines(), ",\"toy\":{\"reads\":0,\"bytes\":0," ZERO_AGG ",\"fails\":1},"
			    "\"toy_a\":{\"reads\":0,\"bytes\":0," ZERO_AGG ",\"fails\":1},"
			    "\"times\":{\"pause_vm\":0}}\n");
	finish();
}

/* --- OpenMetrics ------------------------------------------------------------------- */

static const char *text(void)
{
	static char buf[1 << 16];
	size_t max = metrics_text_max();
	struct text t;

	CHECK(max <= sizeof(buf));
	text_init(&t, buf, max);
	metrics_print_text(&t);
	CHECK(text_ok(&t));
	return buf;
}

TEST(text_has_totals_and_devices_as_labels)
{
	static struct metrics_group vcpu[2] = {
		{ .shape = &lone, .counters = &a.reads },
		{ .shape = &lone, .counters = &b.reads },
	};

	check_text(text(), "");
	counter_add(&a.bytes, 5);
	latency_record(&b.read_agg, 3);
	CHECK_EQ(metrics_add(&group_a) | metrics_add(&group_own) | metrics_add(&group_b), 0);
	check_text(text(), "# TYPE wisp_toy_reads counter\n"
			   "wisp_toy_reads_total{id=\"a\"} 0\n"
			   "wisp_toy_reads_total{id=\"b\"} 0\n"
			   "# TYPE wisp_toy_bytes counter\n"
			   "wisp_toy_bytes_total{id=\"a\"} 5\n"
			   "wisp_toy_bytes_total{id=\"b\"} 0\n"
			   "# TYPE wisp_toy_read_agg_min_us gauge\n"
			   "wisp_toy_read_agg_min_us{id=\"a\"} 0\n"
			   "wisp_toy_read_agg_min_us{id=\"b\"} 3\n"
			   "# TYPE wisp_toy_read_agg_max_us gauge\n"
			   "wisp_toy_read_agg_max_us{id=\"a\"} 0\n"
			   "wisp_toy_read_agg_max_us{id=\"b\"} 3\n"
			   "# TYPE wisp_toy_read_agg_sum_us counter\n"
			   "wisp_toy_read_agg_sum_us_total{id=\"a\"} 0\n"
			   "wisp_toy_read_agg_sum_us_total{id=\"b\"} 3\n"
			   "# TYPE wisp_toy_fails counter\n"
			   "wisp_toy_fails_total{id=\"a\"} 0\n"
			   "wisp_toy_fails_total{id=\"b\"} 0\n"
			   "# TYPE wisp_own_secret counter\n"
			   "wisp_own_secret_total 0\n");
	metrics_remove(&group_a);
	metrics_remove(&group_b);
	metrics_remove(&group_own);
	counter_add(&a.reads, 5);
	counter_add(&b.reads, 6);
	counter_set(&pause_vm, 7);
	CHECK_EQ(metrics_add(&vcpu[0]) | metrics_add(&vcpu[1]) | metrics_add(&group_times), 0);
	check_text(text(), "# TYPE wisp_lone_pause_vm counter\n"
			   "wisp_lone_pause_vm_total 11\n"
			   "# TYPE wisp_times_pause_vm gauge\n"
			   "wisp_times_pause_vm 7\n");
}

static void *print_for_ever(void *arg)
{
	static char buf[1 << 16];
	struct text t;

	/* No metrics_text_max(): that is of a moment, and a group may come after it. */
	for (int i = 0; i < 2000; i++) {
		text_init(&t, buf, sizeof(buf));
		metrics_print_text(&t);
		CHECK(text_ok(&t));
	}
	return arg;
}

TEST(others_print_while_groups_come_and_go)
{
	pthread_t t;

	start();
	CHECK_EQ(metrics_open("m", NULL, NULL, &err), 0);
	CHECK_EQ(pthread_create(&t, NULL, print_for_ever, NULL), 0);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(metrics_add(&group_a), 0);
		CHECK_EQ(metrics_flush(), 0);
		metrics_remove(&group_a);
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
	finish();
}

TEST(without_memory_nothing_is_added)
{
	if (!faults_built_in())
		SKIP("this build has no fault points");
	fault_arm(0);
	CHECK_EQ(metrics_add(&group_a), -ENOMEM);
	metrics_remove(&group_a);
	check_text(text(), "");
}
