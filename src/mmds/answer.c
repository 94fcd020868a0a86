/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's request is answered: the statuses and texts of the contract, 4.1. */
#include <string.h>

#include "base/text.h"
#include "mmds/service.h"

#define TOKEN_PATH "/latest/api/token"

struct call {
	struct mmds *mmds;
	struct mmds_request req;
	usec_t now;
	struct mmds_reply *reply;
};

static const char *reason(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 501:
		return "Not Implemented";
	default:
		return "Bad Request";
	}
}

/* `more' is further headers, each with its end of line. */
static void begin(const struct call *call, struct text *t, unsigned status, const char *more,
		  enum mmds_form form, size_t length)
{
	text_init(t, call->reply->text, sizeof(call->reply->text));
	text_fmt(t, "HTTP/1.%d %u %s\r\nServer: Firecracker API\r\nConnection: %s\r\n%s",
		 call->req.http10 ? 0 : 1, status, reason(status),
		 call->reply->close ? "close" : "keep-alive", more);
	text_fmt(t, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		 form == MMDS_FORM_JSON ? "application/json" : "text/plain", length);
}

static void end(const struct call *call, const struct text *t)
{
	assert(text_ok(t));
	call->reply->len = t->len;
}

static void answer(const struct call *call, unsigned status, const char *more, const char *body,
		   size_t len)
{
	struct text t;

	begin(call, &t, status, more, MMDS_FORM_TEXT, len);
	text_mem(&t, body, len);
	end(call, &t);
}

static void answer_text(const struct call *call, unsigned status, const char *body)
{
	answer(call, status, "", body, strlen(body));
}

static void not_found(const struct call *call)
{
	char body[MMDS_REQUEST_MAX + 64];
	struct text t = TEXT_ON(body);

	text_str(&t, "Resource not found: ");
	text_mem(&t, call->req.path.p, call->req.path.len);
	text_str(&t, ".");
	answer(call, 404, "", body, t.len);
}

/* The path with each run of slashes made one. */
static struct mmds_slice collapse(struct mmds_slice path, char *buf)
{
	size_t n = 0;

	for (size_t i = 0; i < path.len; i++)
		if (path.p[i] != '/' || n == 0 || buf[n - 1] != '/')
			buf[n++] = path.p[i];
	return (struct mmds_slice){ buf, n };
}

static void get_value(const struct call *call)
{
	const struct mmds *mmds = call->mmds;
	enum mmds_form form = mmds->imds_compat ? MMDS_FORM_TEXT : call->req.accept;
	char path[MMDS_REQUEST_MAX];
	struct mmds_slice body;
	struct text t;
	int r = mmds_doc_find(mmds->doc, collapse(call->req.path, path), form, &body);

	if (r == -ENOENT) {
		not_found(call);
		return;
	}
	if (r < 0) {
		answer_text(call, 501, "Cannot retrieve value. The value has an unsupported type.");
		return;
	}
	begin(call, &t, 200, "", form, body.len);
	end(call, &t);
	call->reply->doc = mmds_doc_ref(mmds->doc);
	call->reply->body = body;
}

/* V1 takes a request without a valid token, and counts it all the same. */
static void get(const struct call *call)
{
	struct mmds *mmds = call->mmds;
	struct mmds_slice token = call->req.token;
	bool valid = token.p && mmds_token_is_valid(&mmds->tokens, token.p, token.len, call->now);

	if (!valid)
		counter_inc(token.p ? &mmds->count.rx_invalid_token : &mmds->count.rx_no_token);
	if (valid || mmds->version == MMDS_V1)
		get_value(call);
	else if (token.p)
		answer_text(call, 401, "MMDS token not valid.");
	else
		answer_text(call, 401,
			    "No MMDS token provided. Use `X-metadata-token` or "
			    "`X-aws-ec2-metadata-token` header to specify the session token.");
}

static void bad_header(const struct call *call, const struct mmds_fault *fault)
{
	char body[MMDS_REQUEST_MAX + 128];
	struct text t = TEXT_ON(body);

	text_str(&t, fault->text);
	if (fault->name.p) {
		text_str(&t, " Key:");
		text_mem(&t, fault->name.p, fault->name.len);
		text_str(&t, "; Value:");
		text_mem(&t, fault->value.p, fault->value.len);
	}
	answer(call, fault->status, "", body, t.len);
}

static void issue_token(const struct call *call, uint32_t ttl_s)
{
	char token[MMDS_TOKEN_LEN + 1], header[64];
	struct text h = TEXT_ON(header);

	text_mem(&h, call->req.ttl_name.p, call->req.ttl_name.len);
	text_fmt(&h, ": %u\r\n", ttl_s);
	mmds_token_issue(&call->mmds->tokens, ttl_s, call->now, token);
	answer(call, 200, header, token, MMDS_TOKEN_LEN);
}

static void put(const struct call *call)
{
	const struct mmds_request *req = &call->req;
	const struct mmds_fault bad_ttl = {
		.status = 400,
		.text = "Invalid header. Reason: Invalid value.",
		.name = req->ttl_name,
		.value = req->ttl,
	};
	char path[MMDS_REQUEST_MAX], body[160];
	struct text t = TEXT_ON(body);
	uint32_t ttl_s = 0;

	if (req->forwarded_name.p) {
		text_str(&t, "Invalid header. Reason: Unsupported header name. Key: ");
		text_mem(&t, req->forwarded_name.p, req->forwarded_name.len);
		answer(call, 400, "", body, t.len);
	} else if (!mmds_slice_is(collapse(req->path, path), TOKEN_PATH)) {
		not_found(call);
	} else if (!req->ttl.p) {
		answer_text(call, 400,
			    "Token time to live value not found. Use "
			    "`X-metadata-token-ttl-seconds` or "
			    "`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's "
			    "lifetime.");
	} else if (!mmds_slice_u32(req->ttl, &ttl_s)) {
		bad_header(call, &bad_ttl);
	} else if (ttl_s < MMDS_TTL_MIN_S || ttl_s > MMDS_TTL_MAX_S) {
		text_fmt(&t,
			 "Invalid time to live value provided for token: %u. Please provide a "
			 "value between %d and %d.",
			 ttl_s, MMDS_TTL_MIN_S, MMDS_TTL_MAX_S);
		answer(call, 400, "", body, t.len);
	} else {
		issue_token(call, ttl_s);
	}
}

static void serve(const struct call *call)
{
	if (call->req.path.len == 0) {
		answer_text(call, 400, "Invalid URI.");
		return;
	}
	switch (call->req.method) {
	case MMDS_METHOD_GET:
		get(call);
		return;
	case MMDS_METHOD_PUT:
		put(call);
		return;
	case MMDS_METHOD_PATCH:
	case MMDS_METHOD_DELETE:
		answer(call, 405, "Allow: GET, PUT\r\n", "Not allowed HTTP method.",
		       strlen("Not allowed HTTP method."));
		return;
	}
}

size_t mmds_answer(struct mmds *mmds, const char *buf, size_t len, usec_t now,
		   struct mmds_reply *reply)
{
	struct call call = { .mmds = mmds, .now = now, .reply = reply };
	struct mmds_fault fault = { 0 };
	int r = mmds_request_parse(buf, len, &call.req, &fault);

	if (r == 0)
		return 0;
	reply->doc = NULL;
	reply->body = (struct mmds_slice){ 0 };
	/* Where a request that was not understood ends, nobody knows. */
	reply->close = r < 0 || call.req.close;
	if (r < 0)
		bad_header(&call, &fault);
	else
		serve(&call);
	return r < 0 ? len : (size_t)r;
}

void mmds_reply_fini(struct mmds_reply *reply)
{
	mmds_doc_unref(reply->doc);
	reply->doc = NULL;
}
