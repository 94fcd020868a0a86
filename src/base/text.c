/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *buf, size_t cap)
{
	*t = (struct text){ .buf = buf, .cap = cap };
	buf[0] = '\0';
}

bool text_ok(const struct text *t)
{
	return !t->full;
}

void text_mem(struct text *t, const char *s, size_t len)
{
	size_t room = t->cap - t->len - 1;

	if (len > room) {
		len = room;
		t->full = true;
	}
	memcpy(t->buf + t->len, s, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
	text_mem(t, s, strlen(s));
}

void text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	text_mem(t, digits + at, sizeof(digits) - at);
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	size_t room = t->cap - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		t->full = true;
		t->len += n < 0 ? 0 : room - 1;
		t->buf[t->len] = '\0';
		return;
	}
	t->len += (size_t)n;
}

/* The letter behind the backslash for what has one, or NUL (RFC 8259, 7). */
static char short_escape(char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";

	return letter[strcspn(plain, (const char[]){ c, '\0' })]; /* of none: the NUL behind */
}

void text_json_str(struct text *t, const char *s)
{
	text_mem(t, "\"", 1);
	for (; *s; s++) {
		char escape = short_escape(*s);

		if (escape)
			text_fmt(t, "\\%c", escape);
		else if ((unsigned char)*s < 0x20)
			text_fmt(t, "\\u%04x", (unsigned char)*s);
		else
			text_mem(t, s, 1);
	}
	text_mem(t, "\"", 1);
}
