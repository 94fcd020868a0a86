/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/request.h"

#include <string.h>
#include <strings.h>

struct header {
	struct mmds_slice name, value;
};

static const char *const methods[] = {
	[MMDS_METHOD_GET] = "GET",
	[MMDS_METHOD_PUT] = "PUT",
	[MMDS_METHOD_PATCH] = "PATCH",
	[MMDS_METHOD_DELETE] = "DELETE",
};

bool mmds_slice_is(struct mmds_slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool is_in_any_case(struct mmds_slice s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.p, text, s.len) == 0;
}

bool mmds_slice_u32(struct mmds_slice s, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10U, &v) ||
		    __builtin_add_overflow(v, (uint32_t)(s.p[i] - '0'), &v))
			return false;
	*ret = v;
	return s.len > 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct mmds_slice trim(struct mmds_slice s)
{
	while (s.len > 0 && is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* What stands before the first `c', which goes too; all of it when there is none. */
static struct mmds_slice cut(struct mmds_slice *from, char c)
{
	const char *at = memchr(from->p, c, from->len);
	struct mmds_slice before = { from->p, at ? (size_t)(at - from->p) : from->len };
	size_t gone = before.len + (at != NULL);

	from->p += gone;
	from->len -= gone;
	return before;
}

/* The next line without its end, which is CR LF or LF; false when it is not complete. */
static bool next_line(struct mmds_slice *from, struct mmds_slice *ret)
{
	if (!memchr(from->p, '\n', from->len))
		return false;
	*ret = cut(from, '\n');
	if (ret->len > 0 && ret->p[ret->len - 1] == '\r')
		ret->len--;
	return true;
}

static int fail(struct mmds_fault *fault, unsigned status, const char *text)
{
	*fault = (struct mmds_fault){ .status = status, .text = text };
	return -EBADMSG;
}

static int refuse_value(struct mmds_fault *fault, const struct header *h, struct mmds_slice value)
{
	*fault = (struct mmds_fault){
		.status = 400,
		.text = "Invalid header. Reason: Invalid value.",
		.name = h->name,
		.value = value,
	};
	return -EBADMSG;
}

/* The path of "http://host/path" as well, as requests to a proxy have it. */
static struct mmds_slice path_of(struct mmds_slice target)
{
	static const char scheme[] = "http://";
	const size_t len = sizeof(scheme) - 1;
	const char *slash;

	if (target.len >= len && memcmp(target.p, scheme, len) == 0) {
		slash = memchr(target.p + len, '/', target.len - len);
		if (slash)
			return (struct mmds_slice){ slash,
						    target.len - (size_t)(slash - target.p) };
	} else if (target.len > 0 && target.p[0] == '/') {
		return target;
	}
	return (struct mmds_slice){ target.p, 0 };
}

static int parse_line(struct mmds_slice line, struct mmds_request *ret, struct mmds_fault *fault)
{
	struct mmds_slice method = cut(&line, ' '), target = cut(&line, ' ');
	unsigned i;

	if (method.len == 0 || target.len == 0 || line.len == 0)
		return fail(fault, 400, "Invalid request.");
	for (i = 0; i < ARRAY_SIZE(methods) && !mmds_slice_is(method, methods[i]); i++)
		;
	ret->http10 = mmds_slice_is(line, "HTTP/1.0");
	if (i == ARRAY_SIZE(methods))
		return fail(fault, 501, "Unsupported HTTP method.");
	if (!ret->http10 && !mmds_slice_is(line, "HTTP/1.1"))
		return fail(fault, 501, "Unsupported HTTP version.");
	ret->method = (enum mmds_method)i;
	ret->path = path_of(target);
	ret->close = ret->http10;
	return 0;
}

/* A client that takes only what is encoded cannot be served (RFC 9110, 12.5.3). */
static int check_encoding(const struct header *h, struct mmds_fault *fault)
{
	struct mmds_slice left = h->value, part;
	bool identity = memmem(left.p, left.len, "identity", strlen("identity"));

	while (left.len > 0) {
		part = trim(cut(&left, ','));
		if (mmds_slice_is(part, "identity;q=0") ||
		    (mmds_slice_is(part, "*;q=0") && !identity))
			return refuse_value(fault, h, part);
	}
	return 0;
}

/* A request that has a body is none of this service. */
static int check_length(const struct header *h, struct mmds_fault *fault)
{
	uint32_t length;

	if (!mmds_slice_u32(h->value, &length))
		return refuse_value(fault, h, h->value);
	return length > 0 ? fail(fault, 400, "Invalid request.") : 0;
}

static int take_header(const struct header *h, struct mmds_request *ret, struct mmds_fault *fault)
{
	if (is_in_any_case(h->name, "Content-Length"))
		return check_length(h, fault);
	if (is_in_any_case(h->name, "Transfer-Encoding"))
		return is_in_any_case(h->value, "identity") ? 0
							    : fail(fault, 400, "Invalid request.");
	if (is_in_any_case(h->name, "Accept-Encoding"))
		return check_encoding(h, fault);
	if (is_in_any_case(h->name, "Accept")) {
		/* Anything else, lists and wildcards too, leaves the default. */
		if (mmds_slice_is(h->value, "application/json"))
			ret->accept = MMDS_FORM_JSON;
		else if (mmds_slice_is(h->value, "text/plain"))
			ret->accept = MMDS_FORM_TEXT;
	} else if (is_in_any_case(h->name, "Connection")) {
		if (is_in_any_case(h->value, "close"))
			ret->close = true;
		else if (is_in_any_case(h->value, "keep-alive"))
			ret->close = false;
	} else if (is_in_any_case(h->name, "X-metadata-token") ||
		   is_in_any_case(h->name, "X-aws-ec2-metadata-token")) {
		ret->token = h->value;
	} else if (is_in_any_case(h->name, "X-metadata-token-ttl-seconds") ||
		   is_in_any_case(h->name, "X-aws-ec2-metadata-token-ttl-seconds")) {
		ret->ttl_name = h->name;
		ret->ttl = h->value;
	} else if (is_in_any_case(h->name, "X-Forwarded-For")) {
		ret->forwarded_name = h->name;
	}
	return 0;
}

static int parse_header(struct mmds_slice line, struct mmds_request *ret, struct mmds_fault *fault)
{
	struct header h = { .value = line };

	h.name = cut(&h.value, ':');
	h.value = trim(h.value);
	if (h.name.len == line.len || h.name.len == 0 || memchr(h.name.p, ' ', h.name.len) ||
	    memchr(h.name.p, '\t', h.name.len))
		return fail(fault, 400, "Invalid header. Reason: Invalid format.");
	return take_header(&h, ret, fault);
}

/* Where the request ends, behind the empty line: 0 when that has not come. */
static size_t find_end(const char *buf, size_t len)
{
	struct mmds_slice left = { buf, len }, line;
	bool begun = false;

	while (next_line(&left, &line)) {
		if (line.len == 0 && begun)
			return len - left.len;
		begun |= line.len > 0; /* empty lines before it do not count (RFC 9112, 2.2) */
	}
	return 0;
}

int mmds_request_parse(const char *buf, size_t len, struct mmds_request *ret,
		       struct mmds_fault *fault)
{
	size_t end = find_end(buf, len < MMDS_REQUEST_MAX ? len : MMDS_REQUEST_MAX);
	struct mmds_slice left = { buf, end }, line = { buf, 0 };
	int r;

	*ret = (struct mmds_request){ .accept = MMDS_FORM_TEXT };
	if (end == 0 && len >= MMDS_REQUEST_MAX)
		return fail(fault, 400, "Invalid request.");
	if (end == 0)
		return 0;
	while (next_line(&left, &line) && line.len == 0)
		;
	r = parse_line(line, ret, fault);
	while (r == 0 && next_line(&left, &line) && line.len > 0)
		r = parse_header(line, ret, fault);
	return r < 0 ? r : (int)end;
}
