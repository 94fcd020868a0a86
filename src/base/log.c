/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

enum { LINE_MAX_BYTES = 2048, ID_MAX = 64, BURST = 10, WINDOW_SECONDS = 5, MODULE_MAX = 256 };

static struct {
	char id[ID_MAX + 1]; /* constant after log_init() */
	int fd;		     /* (A) -1: standard output, not yet made ours */
	int level;	     /* (A) */
	bool show_level;     /* (A) */
	bool show_origin;    /* (A) */
} sink = { .fd = -1, .level = LOG_INFO };

struct log_metrics log_metrics;

static const struct {
	const char *name, *printed;
} levels[] = {
	[LOG_OFF] = { "Off", "OFF" },	    [LOG_ERROR] = { "Error", "ERROR" },
	[LOG_WARN] = { "Warn", "WARN" },    [LOG_INFO] = { "Info", "INFO" },
	[LOG_DEBUG] = { "Debug", "DEBUG" }, [LOG_TRACE] = { "Trace", "TRACE" },
};

#define load(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

void log_init(const char *id)
{
	int fd = fd_output_of(STDOUT_FILENO);

	tzset();
	snprintf(sink.id, sizeof(sink.id), "%s", id);
	if (fd >= 0)
		store(&sink.fd, fd);
}

/* What lines must be of; looked at only while there is a filter. */
static struct {
	pthread_mutex_t lock;
	bool on;		 /* (A) */
	char prefix[MODULE_MAX]; /* (L) of the path below src/ */
} filter = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The folders of a path for the colons of a module. */
static void to_path(char path[MODULE_MAX], const char *module)
{
	static const char theirs[] = "api_server", ours[] = "api";
	size_t len = 0;

	if (strncmp(module, theirs, sizeof(theirs) - 1) == 0) {
		memcpy(path, ours, len = sizeof(ours) - 1);
		module += sizeof(theirs) - 1;
	}
	while (*module && len < MODULE_MAX - 1) {
		if (strncmp(module, "::", 2) == 0) {
			path[len++] = '/';
			module += 2;
		} else {
			path[len++] = *module++;
		}
	}
	path[len] = '\0';
}

void log_set_module(const char *module)
{
	pthread_mutex_lock(&filter.lock);
	to_path(filter.prefix, module);
	pthread_mutex_unlock(&filter.lock);
	store(&filter.on, module[0] != '\0');
}

static bool is_wanted(const char *file)
{
	static const char top[] = "src/";
	const char *path = strstr(file, top);
	bool wanted;

	if (!load(&filter.on))
		return true;
	path = path ? path + sizeof(top) - 1 : file;
	pthread_mutex_lock(&filter.lock);
	wanted = strncmp(path, filter.prefix, strlen(filter.prefix)) == 0;
	pthread_mutex_unlock(&filter.lock);
	return wanted;
}

void log_configure(const struct log_cfg *cfg)
{
	store(&sink.level, (int)cfg->level);
	store(&sink.show_level, cfg->show_level);
	store(&sink.show_origin, cfg->show_origin);
}

struct log_cfg log_configured(void)
{
	return (struct log_cfg){
		.level = (enum log_level)load(&sink.level),
		.show_level = load(&sink.show_level),
		.show_origin = load(&sink.show_origin),
	};
}

int log_open(const char *path, struct err *e)
{
	int fd = fd_open_output(path);
	int old;

	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "%s (os error %d)", strerror(-fd), -fd);
	old = load(&sink.fd);
	if (old < 0) {
		store(&sink.fd, fd);
		return 0;
	}
	/* In place, so that a thread in the middle of a line never meets a closed fd. */
	if (dup3(fd, old, O_CLOEXEC) < 0) {
		int r = -errno;

		close(fd);
		return err_set(e, ERR_INTERNAL, r, "%s", strerror(-r));
	}
	close(fd);
	return 0;
}

int log_fd(void)
{
	return load(&sink.fd);
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	if (strcasecmp(name, "Warning") == 0)
		name = "Warn";
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcasecmp(name, levels[i].name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void put_prefix(struct text *t, enum log_level level, const char *file, int line)
{
	char thread[16] = "";
	char stamp[32];
	struct timespec now = { 0 };
	struct tm tm = { 0 };
	const char *base = strrchr(file, '/');

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	prctl(PR_GET_NAME, thread);
	text_fmt(t, "%s.%09ld [%s:%s", stamp, now.tv_nsec, sink.id, thread);
	if (load(&sink.show_level))
		text_fmt(t, ":%s", levels[level].printed);
	if (load(&sink.show_origin))
		text_fmt(t, ":%s:%d", base ? base + 1 : file, line);
	text_str(t, "] ");
}

/* A line stays a line and a terminal stays a terminal, whatever the text holds. */
static void make_printable(char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)s[0], next = (unsigned char)s[1];

		if (c < 0x20 || c == 0x7f)
			*s = '?';
		else if (c == 0xc2 && next >= 0x80 && next <= 0x9f) /* U+0080 to U+009F */
			s[0] = s[1] = '?';
	}
}

void log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
{
	char buf[LINE_MAX_BYTES];
	struct text t;
	int saved = errno;
	int fd = load(&sink.fd);
	size_t room;
	va_list ap;
	int n;

	if ((int)level > load(&sink.level) || fd < 0 || !is_wanted(file))
		return;
	text_init(&t, buf, sizeof(buf) - 1); /* one more for the newline */
	put_prefix(&t, level, file, line);
	room = t.cap - t.len;
	va_start(ap, fmt);
	n = vsnprintf(t.buf + t.len, room, fmt, ap);
	va_end(ap);
	make_printable(t.buf + t.len);
	if (n > 0)
		t.len += (size_t)n < room ? (size_t)n : room - 1;
	buf[t.len++] = '\n';
	if (write(fd, buf, t.len) != (ssize_t)t.len)
		counter_inc(&log_metrics.missed_log_count);
	errno = saved;
}

bool log_limit_pass(struct log_limit *limit, uint64_t *ret_suppressed)
{
	uint64_t now = clock_monotonic() / USEC_PER_SEC;
	uint64_t old = load(&limit->window);

	for (;;) {
		bool fresh = now - (old >> 8) >= WINDOW_SECONDS || old == 0;
		uint64_t used = fresh ? 0 : old & 0xff;

		if (used >= BURST) {
			__atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
			return false;
		}
		if (__atomic_compare_exchange_n(&limit->window, &old,
						((fresh ? now : old >> 8) << 8) | (used + 1), false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
	}
	*ret_suppressed = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
	return true;
}
