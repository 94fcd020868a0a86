/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: one loop, no recursion. begin() reads up to where a value is
 * complete (a scalar, an empty container) or where the first value inside a container
 * is next; resume() goes on behind a complete value, in the innermost open container,
 * up to the next value or its end. Errors are placed where serde_json places them:
 * fail() after what was consumed, fail_here() after the character that is wrong too.
 */
#include "json/scan.h"

#include <string.h>

#include "json/json.h"

struct open {
	uint32_t value; /* index of its span */
	bool object;
};

struct scan {
	const char *text;
	size_t len, at;
	struct json_span *spans; /* NULL: only count */
	uint32_t n;
	uint32_t colon; /* of the key just read; 0: none */
	unsigned depth;
	struct open open[JSON_DEPTH_MAX];
	struct json_fault *fault;
};

enum step {
	STEP_DONE,  /* a value is complete */
	STEP_VALUE, /* a value is next */
};

static int fail(struct scan *s, const char *what)
{
	*s->fault = (struct json_fault){ .what = what, .at = s->at };
	return -EBADMSG;
}

static int fail_here(struct scan *s, const char *what)
{
	*s->fault = (struct json_fault){ .what = what, .at = s->at < s->len ? s->at + 1 : s->len };
	return -EBADMSG;
}

/* The next character, or -1 at the end. */
static int peek(const struct scan *s)
{
	return s->at < s->len ? (unsigned char)s->text[s->at] : -1;
}

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int peek_after_space(struct scan *s)
{
	while (is_space(peek(s)))
		s->at++;
	return peek(s);
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_cont(const unsigned char *p, size_t i, size_t room)
{
	return i < room && (p[i] & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 sequence at p (Unicode 15, table 3-7), or 0 when it is none. */
static size_t utf8_len(const unsigned char *p, size_t room)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || !is_cont(p, 1, room))
		return 0;
	if (p[0] < 0xe0)
		return 2;
	if (!is_cont(p, 2, room))
		return 0;
	if (p[0] < 0xf0) {
		bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
		bool surrogate = p[0] == 0xed && p[1] > 0x9f;

		return overlong || surrogate ? 0 : 3;
	}
	if (!is_cont(p, 3, room))
		return 0;
	return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* The four digits after \u: their value, or -EBADMSG. */
static int scan_hex(struct scan *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		int c = peek(s);

		if (c < 0)
			return fail(s, "EOF while parsing a string");
		s->at++;
		if (is_digit(c))
			v = v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (c | 0x20) - 'a' + 10;
		else
			return fail(s, "invalid escape");
	}
	return v;
}

static int scan_unicode_escape(struct scan *s)
{
	int v = scan_hex(s);

	if (v < 0)
		return v;
	if (v == 0)
		return fail(s, "NUL character in a string");
	if (v < 0xd800 || v > 0xdfff)
		return 0;
	if (v > 0xdbff)
		return fail(s, "lone leading surrogate in hex escape");
	if (s->len - s->at < 2 || s->text[s->at] != '\\' || s->text[s->at + 1] != 'u')
		return fail(s, "unexpected end of hex escape");
	s->at += 2;
	v = scan_hex(s);
	if (v < 0)
		return v;
	return v < 0xdc00 || v > 0xdfff ? fail(s, "lone leading surrogate in hex escape") : 0;
}

static int scan_escape(struct scan *s)
{
	int c;

	s->at++;
	c = peek(s);
	if (c < 0)
		return fail(s, "EOF while parsing a string");
	s->at++;
	if (c == 'u')
		return scan_unicode_escape(s);
	return c != '\0' && strchr("\"\\/bfnrt", c) ? 0 : fail(s, "invalid escape");
}

static int scan_string(struct scan *s)
{
	s->at++; /* the quote */
	for (;;) {
		int c = peek(s), r = 0;

		if (c < 0)
			return fail(s, "EOF while parsing a string");
		if (c < 0x20)
			return fail_here(s, "control character (\\u0000-\\u001F) found while "
					    "parsing a string");
		if (c == '"') {
			s->at++;
			return 0;
		}
		if (c == '\\') {
			r = scan_escape(s);
		} else {
			size_t n = utf8_len((const unsigned char *)s->text + s->at, s->len - s->at);

			if (n == 0)
				r = fail_here(s, "invalid unicode code point");
			s->at += n;
		}
		if (r < 0)
			return r;
	}
}

/* At least one digit, as after '.' and in an exponent. */
static int scan_digits(struct scan *s)
{
	if (peek(s) < 0)
		return fail(s, "EOF while parsing a value");
	if (!is_digit(peek(s)))
		return fail_here(s, "invalid number");
	while (is_digit(peek(s)))
		s->at++;
	return 0;
}

static int scan_number(struct scan *s)
{
	size_t start = s->at, first;
	int r;

	if (peek(s) == '-')
		s->at++;
	first = s->at;
	r = scan_digits(s);
	if (r < 0)
		return r;
	if (s->text[first] == '0' && s->at - first > 1)
		return fail(s, "invalid number");
	if (peek(s) == '.') {
		s->at++;
		r = scan_digits(s);
	}
	if (r == 0 && (peek(s) == 'e' || peek(s) == 'E')) {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		r = scan_digits(s);
	}
	if (r == 0 && s->at - start > JSON_NUMBER_MAX)
		return fail(s, "number out of range");
	return r;
}

static int scan_word(struct scan *s, const char *word)
{
	for (; *word; word++) {
		int c = peek(s);

		if (c < 0)
			return fail(s, "EOF while parsing a value");
		s->at++;
		if (c != *word)
			return fail(s, "expected ident");
	}
	return 0;
}

static int scan_scalar(struct scan *s, int c)
{
	switch (c) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (c == '-' || is_digit(c))
			return scan_number(s);
		return fail_here(s, "expected value");
	}
}

/* A key and its colon. */
static int scan_key(struct scan *s)
{
	int r;

	if (peek(s) != '"')
		return fail_here(s, "key must be a string");
	r = scan_string(s);
	if (r < 0)
		return r;
	if (peek_after_space(s) < 0)
		return fail(s, "EOF while parsing an object");
	if (peek(s) != ':')
		return fail_here(s, "expected `:`");
	s->colon = (uint32_t)s->at++;
	return 0;
}

static const char *eof_in(bool object)
{
	return object ? "EOF while parsing an object" : "EOF while parsing a list";
}

static void finish(struct scan *s, uint32_t value)
{
	if (s->spans)
		s->spans[value].end = (uint32_t)s->at;
}

static int begin_container(struct scan *s, uint32_t value, bool object)
{
	int c, r;

	if (s->depth == JSON_DEPTH_MAX)
		return fail_here(s, "recursion limit exceeded");
	s->at++;
	c = peek_after_space(s);
	if (c < 0)
		return fail(s, eof_in(object));
	if (c == (object ? '}' : ']')) {
		s->at++;
		finish(s, value);
		return STEP_DONE;
	}
	r = object ? scan_key(s) : 0;
	if (r < 0)
		return r;
	s->open[s->depth++] = (struct open){ .value = value, .object = object };
	return STEP_VALUE;
}

/* One value: an `enum step', or -EBADMSG. */
static int begin(struct scan *s)
{
	int c = peek_after_space(s), r;
	uint32_t value = s->n;

	if (c < 0)
		return fail(s, "EOF while parsing a value");
	if (s->n == JSON_VALUES_MAX)
		return fail(s, "too many values");
	s->n++;
	if (s->spans)
		s->spans[value] = (struct json_span){ .colon = s->colon, .start = (uint32_t)s->at };
	s->colon = 0;
	if (c == '{' || c == '[')
		return begin_container(s, value, c == '{');
	r = scan_scalar(s, c);
	if (r < 0)
		return r;
	finish(s, value);
	return STEP_DONE;
}

/* Behind a value in the innermost container: its end is a complete value too. */
static int resume(struct scan *s)
{
	const struct open *in = &s->open[s->depth - 1];
	char end = in->object ? '}' : ']';
	int c = peek_after_space(s);

	if (c < 0)
		return fail(s, eof_in(in->object));
	if (c == end) {
		s->at++;
		s->depth--;
		finish(s, in->value);
		return STEP_DONE;
	}
	if (c != ',')
		return fail_here(s, in->object ? "expected `,` or `}`" : "expected `,` or `]`");
	s->at++;
	c = peek_after_space(s);
	if (c < 0)
		return fail(s, "EOF while parsing a value");
	if (c == end)
		return fail_here(s, "trailing comma");
	if (in->object) {
		int r = scan_key(s);

		if (r < 0)
			return r;
	}
	return STEP_VALUE;
}

int json_scan(const char *text, size_t len, struct json_span *spans, struct json_fault *fault)
{
	struct scan s = { .text = text, .len = len, .spans = spans, .fault = fault };
	int r;

	do {
		r = begin(&s);
		while (r == STEP_DONE && s.depth > 0)
			r = resume(&s);
	} while (r == STEP_VALUE);
	if (r < 0)
		return r;
	if (peek_after_space(&s) >= 0)
		return fail_here(&s, "trailing characters");
	return (int)s.n;
}
