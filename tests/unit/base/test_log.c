/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "test.h"

static struct err err;
static char folder[] = "/tmp/log-XXXXXX";

/* A log on the file "l" in a folder of our own; the caller's working directory moves. */
static void start(const struct log_cfg *cfg)
{
	CHECK(mkdtemp(folder));
	CHECK_EQ(chdir(folder), 0);
	log_init("vm-1");
	CHECK_EQ(log_open("l", &err), 0);
	log_configure(cfg);
	prctl(PR_SET_NAME, "tester");
}

static const char *contents(const char *name)
{
	static char text[1 << 18];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	CHECK(n >= 0);
	text[n] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void finish(void)
{
	(void)!unlink("l");
	(void)!unlink("m");
	CHECK_EQ(rmdir(folder), 0);
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void check_match(const char *text, const char *pattern)
{
	regex_t re;

	CHECK_EQ(regcomp(&re, pattern, REG_EXTENDED), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0) {
		fprintf(stderr, "# `%s' does not match `%s'\n", text, pattern);
		exit(1);
	}
	regfree(&re);
}

#define STAMP "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9} "

TEST(the_four_formats)
{
	static const struct {
		struct log_cfg cfg;
		const char *pattern;
	} rows[] = {
		{ { LOG_INFO, false, false }, STAMP "\\[vm-1:tester\\] text 7\n$" },
		{ { LOG_INFO, true, false }, STAMP "\\[vm-1:tester:WARN\\] text 7\n$" },
		{ { LOG_INFO, false, true },
		  STAMP "\\[vm-1:tester:test_log.c:[0-9]+\\] text 7\n$" },
		{ { LOG_INFO, true, true },
		  STAMP "\\[vm-1:tester:WARN:test_log.c:[0-9]+\\] text 7\n$" },
	};

	start(&rows[0].cfg);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_EQ(log_open("m", &err), 0);
		log_configure(&rows[i].cfg);
		log_warn("text %d", 7);
		check_match(contents("m"), rows[i].pattern);
		CHECK_EQ(unlink("m"), 0);
	}
	finish();
}

TEST(levels_let_through_what_is_as_bad)
{
	static const enum log_level all[] = { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

	start(&(struct log_cfg){ .level = LOG_OFF });
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		log_at(all[i], "silent");
	CHECK_EQ(lines(contents("l")), 0);
	for (unsigned level = 0; level < ARRAY_SIZE(all); level++) {
		CHECK_EQ(log_open("m", &err), 0);
		log_configure(&(struct log_cfg){ .level = all[level] });
		for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
			log_at(all[i], "line");
		CHECK_EQ(lines(contents("m")), level + 1);
		CHECK_EQ(unlink("m"), 0);
	}
	finish();
}

TEST(what_is_in_effect_can_be_asked)
{
	struct log_cfg cfg = log_configured();

	CHECK_EQ(cfg.level, LOG_INFO);
	CHECK(!cfg.show_level && !cfg.show_origin);
	log_configure(&(struct log_cfg){ LOG_TRACE, true, false });
	cfg = log_configured();
	CHECK_EQ(cfg.level, LOG_TRACE);
	CHECK(cfg.show_level && !cfg.show_origin);
	log_configure(&(struct log_cfg){ LOG_OFF, false, true });
	cfg = log_configured();
	CHECK_EQ(cfg.level, LOG_OFF);
	CHECK(!cfg.show_level && cfg.show_origin);
}

TEST(level_names)
{
	static const struct {
		const char *name;
		int level;
	} rows[] = {
		{ "Off", LOG_OFF },	 { "Error", LOG_ERROR },
		{ "Warn", LOG_WARN },	 { "Info", LOG_INFO },
		{ "Debug", LOG_DEBUG },	 { "Trace", LOG_TRACE },
		{ "WARNING", LOG_WARN }, { "trace", LOG_TRACE },
		{ "iNFO", LOG_INFO },	 { "", -1 },
		{ "Inf", -1 },		 { "Infos", -1 },
		{ "Critical", -1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		enum log_level level = LOG_TRACE;
		int r = log_level_parse(rows[i].name, &level);

		CHECK_EQ(r, rows[i].level < 0 ? -EINVAL : 0);
		CHECK_EQ(level, rows[i].level < 0 ? (int)LOG_TRACE : rows[i].level);
		if (i < 6)
			CHECK(strcmp(log_level_name(level), rows[i].name) == 0);
	}
}

TEST(control_characters_cannot_break_a_line)
{
	const char *text;

	start(&(struct log_cfg){ .level = LOG_INFO });
	log_info("a\nb\rc\x1b[31md\x7f\te%s", "\xc3\xa9");
	text = contents("l");
	CHECK_EQ(lines(text), 1);
	CHECK(strstr(text, "] a?b?c?[31md??e\xc3\xa9\n"));
	/* U+0080 to U+009F too: the last but four begins a terminal's commands as ESC [ does. */
	log_info("%s", "\xc2\x80 \xc2\x9b"
		       "2J \xc2\x9f \xc2\xa0 \xc2");
	CHECK(strstr(contents("l"), "] ?? ??2J ?? \xc2\xa0 \xc2\n"));
	finish();
}

/* A text of any length gives one line that ends; both sides of the limit among them. */
TEST(long_lines_are_cut)
{
	static char text[5000];
	const char *line, *end;
	unsigned longest = 0;

	start(&(struct log_cfg){ .level = LOG_INFO });
	for (unsigned len = 1900; len < sizeof(text); len += len < 2100 ? 1 : 500) {
		CHECK_EQ(log_open("m", &err), 0);
		memset(text, 'x', len);
		text[len] = '\0';
		log_info("%s", text);
		line = contents("m");
		CHECK_EQ(lines(line), 1);
		end = strchr(line, '\n');
		CHECK_EQ(end[1], 0);
		if (end - line > longest)
			longest = (unsigned)(end - line);
		CHECK_EQ(unlink("m"), 0);
	}
	CHECK(longest >= 2000 && longest < 2048);
	CHECK_EQ(counter_get(&log_metrics.missed_log_count), 0);
	finish();
}

TEST(an_existing_file_is_neither_cut_nor_appended_to)
{
	int fd;

	start(&(struct log_cfg){ .level = LOG_INFO });
	fd = open("m", O_WRONLY | O_CREAT, 0600);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(write(fd, "old line\n", 9), 9);
	close(fd);
	CHECK_EQ(log_open("m", &err), 0);
	log_info("new");
	CHECK(strstr(contents("m"), "] new\n"));
	CHECK(strstr(contents("m"), "old line\n"));
	CHECK(contents("m")[0] == '2');
	finish();
}

TEST(a_reopened_log_goes_on_elsewhere)
{
	start(&(struct log_cfg){ .level = LOG_INFO });
	log_info("first");
	CHECK_EQ(log_open("m", &err), 0);
	log_info("second");
	CHECK(strstr(contents("l"), "first"));
	CHECK(!strstr(contents("l"), "second"));
	CHECK(strstr(contents("m"), "second"));
	CHECK_EQ(log_open("none/x", &err), -ENOENT);
	CHECK_EQ(err.kind, ERR_INVALID);
	CHECK(err.msg[0]);
	log_info("third");
	CHECK(strstr(contents("m"), "third"));
	finish();
}

TEST(a_full_fifo_loses_lines_and_counts)
{
	unsigned sent = 0, got;
	static char buf[1 << 17];
	ssize_t n;
	int fd;

	start(&(struct log_cfg){ .level = LOG_INFO });
	CHECK_EQ(mkfifo("m", 0600), 0);
	CHECK_EQ(log_open("m", &err), 0); /* without a reader */
	for (; counter_get(&log_metrics.missed_log_count) == 0; sent++)
		log_info("%0500d", sent);
	log_info("%0500d", sent);
	CHECK_EQ(counter_get(&log_metrics.missed_log_count), 2);
	fd = open("m", O_RDONLY | O_NONBLOCK);
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n > 0);
	buf[n] = '\0';
	got = lines(buf);
	CHECK_EQ(got, sent - 1);
	log_info("heard");
	CHECK_EQ(counter_get(&log_metrics.missed_log_count), 2);
	finish();
}

TEST(logging_keeps_errno)
{
	start(&(struct log_cfg){ .level = LOG_INFO });
	errno = ENOTTY;
	log_info("x");
	CHECK_EQ(errno, ENOTTY);
	finish();
}

TEST(before_a_file_is_named_lines_go_to_standard_output)
{
	int fd[2];
	char text[256] = "";

	fflush(stdout);
	CHECK_EQ(pipe(fd), 0);
	CHECK(dup2(fd[1], STDOUT_FILENO) >= 0);
	log_info("nothing is open yet");
	log_init("anonymous-instance");
	log_debug("too fine");
	log_info("Running");
	CHECK(read(fd[0], text, sizeof(text) - 1) > 0);
	check_match(text, STAMP "\\[anonymous-instance:[^]]*\\] Running\n$");
}

TEST(a_log_without_standard_output_opens_later)
{
	CHECK(mkdtemp(folder));
	CHECK_EQ(chdir(folder), 0);
	close(STDOUT_FILENO);
	log_init("x");
	log_info("nowhere");
	CHECK_EQ(log_open("l", &err), 0);
	log_info("here");
	CHECK_EQ(lines(contents("l")), 1);
	finish();
}

static void guest_line(unsigned i)
{
	log_guest(LOG_WARN, "guest %u", i);
}

TEST(the_guest_gets_ten_lines)
{
	start(&(struct log_cfg){ .level = LOG_INFO });
	for (unsigned i = 0; i < 1000; i++)
		guest_line(i);
	CHECK_EQ(lines(contents("l")), 10);
	CHECK(strstr(contents("l"), "guest 9\n"));
	CHECK(!strstr(contents("l"), "guest 10\n"));
	log_guest(LOG_WARN, "another place has its own ten");
	CHECK_EQ(lines(contents("l")), 11);
	finish();
}

TEST(the_limiter_says_what_it_suppressed)
{
	struct log_limit limit = { 0 };
	uint64_t lost = 99;
	uint64_t now;

	for (unsigned i = 0; i < 10; i++)
		CHECK(log_limit_pass(&limit, &lost));
	CHECK_EQ(lost, 0);
	for (unsigned i = 0; i < 7; i++)
		CHECK(!log_limit_pass(&limit, &lost));
	now = clock_monotonic() / USEC_PER_SEC;
	limit.window = (now - 3) << 8 | 10; /* the window of five seconds is not over */
	CHECK(!log_limit_pass(&limit, &lost));
	limit.window = (now - 5) << 8 | 10;
	CHECK(log_limit_pass(&limit, &lost));
	CHECK_EQ(lost, 8);
	for (unsigned i = 1; i < 10; i++)
		CHECK(log_limit_pass(&limit, &lost));
	CHECK_EQ(lost, 0);
	CHECK(!log_limit_pass(&limit, &lost));
}

static struct log_limit shared;
static unsigned passed; /* (A) */

static void *crowd(void *arg)
{
	uint64_t lost = 0;

	(void)arg;
	for (unsigned i = 0; i < 1000; i++)
		if (log_limit_pass(&shared, &lost))
			__atomic_fetch_add(&passed, 1, __ATOMIC_RELAXED);
	return NULL;
}

TEST(threads_share_the_ten)
{
	pthread_t id[4];

	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&id[i], NULL, crowd, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(id[i], NULL);
	CHECK_EQ(passed, 10);
	CHECK_EQ(shared.suppressed, 4000 - 10);
}

static void *writer(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 200; i++)
		log_info("%s", "0123456789012345678901234567890123456789");
	return NULL;
}

/* Lines of threads do not mix, also while the file changes. */
TEST(one_line_one_write)
{
	pthread_t id[4];
	unsigned n = 0;

	start(&(struct log_cfg){ .level = LOG_INFO });
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&id[i], NULL, writer, NULL), 0);
	CHECK_EQ(log_open("m", &err), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(id[i], NULL);
	for (unsigned i = 0; i < 2; i++) {
		char *text = strdup(contents(i == 0 ? "l" : "m"));
		char *save = NULL;

		for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
			check_match(l, STAMP "\\[vm-1:tester\\] [0-9]{40}$");
			n++;
		}
		free(text);
	}
	CHECK_EQ(n + counter_get(&log_metrics.missed_log_count), 800);
	finish();
}

/* As if the lines came from these files. */
static void write_from(const char *file)
{
	log_write(LOG_INFO, file, 1, "%s", file);
}

TEST(only_lines_of_the_module)
{
	static const struct {
		const char *module, *passes, *stays;
	} rows[] = {
		{ "api", "src/api/http.c", "src/vmm/life.c" },
		{ "api_server", "src/api/http.c", "src/main.c" },
		{ "api_server::http", "/top/src/api/http.c", "src/api/api.c" },
		{ "vmm::x86::cpu", "src/vmm/x86/cpuid.c", "src/vmm/vcpu.c" },
		{ "main", "src/main.c", "src/api/main.c" },
		{ "devices::virtio", "src/devices/virtio/block/req.c", "src/devices/serial.c" },
		{ "", "src/any.c", NULL },
	};
	struct log_cfg cfg = { .level = LOG_INFO };

	start(&cfg);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_EQ(truncate("l", 0), 0);
		CHECK_EQ(log_open("l", &err), 0); /* from its beginning */
		log_set_module(rows[i].module);
		write_from(rows[i].passes);
		CHECK(strstr(contents("l"), rows[i].passes));
		if (rows[i].stays)
			write_from(rows[i].stays);
		CHECK_EQ(lines(contents("l")), 1);
	}
	finish();
}

TEST(a_module_of_any_length)
{
	struct log_cfg cfg = { .level = LOG_INFO };
	char longer[1000];

	start(&cfg);
	memset(longer, ':', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_set_module(longer);
	write_from("src/a.c");
	memset(longer, 'a', sizeof(longer) - 1);
	log_set_module(longer);
	write_from("src/a.c");
	CHECK_EQ(lines(contents("l")), 0);
	finish();
}
