/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text built in memory that the caller provides: replies, command lines, tables.
 *
 * Every function appends; what does not fit is dropped and remembered, so that a
 * sequence is written without checks and text_ok() asked once at the end. The
 * buffer is NUL-terminated at all times. Not locked: one thread at a time.
 */
#pragma once

#include <stdarg.h>

#include "base/cc.h"

struct text {
	char *buf;
	size_t cap; /* bytes in buf, at least 1 */
	size_t len; /* bytes used, without the NUL */
	bool full;  /* something was dropped */
};

#define TEXT_ON(array) ((struct text){ .buf = memset((array), 0, 1), .cap = sizeof(array) })

void text_init(struct text *t, char *buf, size_t cap);
must_check bool text_ok(const struct text *t);
void text_str(struct text *t, const char *s);
void text_mem(struct text *t, const char *s, size_t len);
void text_u64(struct text *t, uint64_t v);
printf_like(2, 3) void text_fmt(struct text *t, const char *fmt, ...);

/* A JSON string with its quotes; control characters and quotes escaped. */
void text_json_str(struct text *t, const char *s);
