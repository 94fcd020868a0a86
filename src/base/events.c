/* SPDX-License-Identifier: Apache-2.0 */
#include "base/events.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

static struct {
	pthread_mutex_t lock;
	uint64_t n;				/* (L) emitted so far */
	int wake_fd;				/* (L) -1: nobody waits */
	uint16_t len[EVENTS_KEPT];		/* (L) */
	char line[EVENTS_KEPT][EVENT_LINE_MAX]; /* (L) event i at i % EVENTS_KEPT */
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1 };

/* The line, of what fits: a text is whole or it is not there. */
static size_t make_line(char line[EVENT_LINE_MAX], const char *event, va_list pairs)
{
	static const char end[] = "}\n";
	struct text t;

	text_init(&t, line, EVENT_LINE_MAX - (sizeof(end) - 1));
	text_str(&t, "{\"utc_timestamp_ms\":");
	text_u64(&t, clock_usec(CLOCK_REALTIME) / USEC_PER_MSEC);
	text_str(&t, ",\"event\":");
	text_json_str(&t, event);
	for (const char *key = va_arg(pairs, const char *); key;
	     key = va_arg(pairs, const char *)) {
		struct text before = t;

		text_str(&t, ",");
		text_json_str(&t, key);
		text_str(&t, ":");
		text_json_str(&t, va_arg(pairs, const char *));
		if (!text_ok(&t))
			t = before;
	}
	memcpy(t.buf + t.len, end, sizeof(end));
	return t.len + sizeof(end) - 1;
}

void event_emit(const char *event, ...)
{
	char line[EVENT_LINE_MAX];
	va_list pairs;
	size_t len;

	va_start(pairs, event);
	len = make_line(line, event, pairs);
	va_end(pairs);
	pthread_mutex_lock(&ring.lock);
	memcpy(ring.line[ring.n % EVENTS_KEPT], line, len);
	ring.len[ring.n % EVENTS_KEPT] = (uint16_t)len;
	ring.n++;
	if (ring.wake_fd >= 0)
		fd_event_signal(ring.wake_fd);
	pthread_mutex_unlock(&ring.lock);
}

void events_begin(struct event_reader *reader)
{
	pthread_mutex_lock(&ring.lock);
	reader->next = ring.n;
	pthread_mutex_unlock(&ring.lock);
}

/* What is gone before it was read. */
static void put_lost(struct event_reader *reader, struct text *t)
{
	uint64_t oldest = ring.n > EVENTS_KEPT ? ring.n - EVENTS_KEPT : 0;

	if (reader->next >= oldest)
		return;
	text_str(t, "{\"lost\":");
	text_u64(t, oldest - reader->next);
	text_str(t, "}\n");
	reader->next = oldest;
}

size_t events_read(struct event_reader *reader, char *buf, size_t cap)
{
	struct text t;

	text_init(&t, buf, cap);
	pthread_mutex_lock(&ring.lock);
	put_lost(reader, &t);
	while (reader->next < ring.n) {
		uint64_t i = reader->next % EVENTS_KEPT;

		if (ring.len[i] > t.cap - t.len - 1)
			break;
		text_mem(&t, ring.line[i], ring.len[i]);
		reader->next++;
	}
	pthread_mutex_unlock(&ring.lock);
	return t.len;
}

void events_wake(int fd)
{
	pthread_mutex_lock(&ring.lock);
	ring.wake_fd = fd;
	pthread_mutex_unlock(&ring.lock);
}
