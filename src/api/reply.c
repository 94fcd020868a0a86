/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reply.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"

enum { MESSAGE_MAX = 400 };

void reply_fini(struct reply *reply)
{
	view_put(reply->view);
	reply->view = NULL;
}

static const char *status_name(unsigned status)
{
	switch (status) {
	case MHD_HTTP_OK:
		return "200 OK";
	case MHD_HTTP_NO_CONTENT:
		return "204 No Content";
	case MHD_HTTP_CONTENT_TOO_LARGE:
		return "413 Payload too large";
	default:
		return "400 Bad Request";
	}
}

static unsigned status_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_INTERNAL:
	case ERR_INVALID:
	case ERR_STATE:
		break;
	case ERR_TOO_LARGE:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	}
	return MHD_HTTP_BAD_REQUEST;
}

static void succeed(struct reply *reply, unsigned status)
{
	reply->status = status;
	log_info("The request was executed successfully. Status code: %s.", status_name(status));
}

void reply_done(struct reply *reply)
{
	succeed(reply, MHD_HTTP_NO_CONTENT);
}

void reply_body(struct reply *reply, struct view *view, const char *body)
{
	reply->view = view;
	reply->body = body;
	succeed(reply, MHD_HTTP_OK);
}

void reply_stream(struct reply *reply)
{
	succeed(reply, MHD_HTTP_OK);
}

/* Length of the UTF-8 sequence at s, or 0 when it is none (RFC 3629, 4). */
static unsigned utf8_len(const unsigned char *s)
{
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* JSON is UTF-8, and a message may repeat what a client wrote or end within a character. */
static void make_utf8(char *message)
{
	unsigned char *s = (unsigned char *)message;

	while (*s) {
		unsigned n = utf8_len(s);

		if (n == 0)
			*s = '?';
		s += n == 0 ? 1 : n;
	}
}

static void fail(struct reply *reply, unsigned status, const char *key, char *message)
{
	struct text t;

	make_utf8(message);
	text_init(&t, reply->text, sizeof(reply->text));
	text_fmt(&t, "{\"%s\":", key);
	text_json_str(&t, message);
	text_str(&t, "}");
	reply->body = reply->text;
	reply->status = status;
	log_err("Received Error. Status code: %s. Message: %s", status_name(status), message);
}

void reply_fault(struct reply *reply, const struct err *e)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof(message), "%s", e->msg);
	fail(reply, status_of(e->kind), "fault_message", message);
}

void reply_undecoded(struct reply *reply, const struct err *e)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof(message),
		 "An error occurred when deserializing the json body of a request: %s.", e->msg);
	fail(reply, status_of(e->kind), "fault_message", message);
}

void reply_transport(struct reply *reply, const char *fmt, ...)
{
	char message[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	fail(reply, MHD_HTTP_BAD_REQUEST, "error", message);
}

static bool add_headers(struct MHD_Response *response, const struct reply *reply)
{
	return MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "Firecracker API") ==
		       MHD_YES &&
	       (!reply->deprecated ||
		MHD_add_response_header(response, "Deprecation", "true") == MHD_YES) &&
	       (!reply->body ||
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					reply->type ? reply->type : "application/json") == MHD_YES);
}

int reply_send(struct MHD_Connection *conn, const struct reply *reply)
{
	struct MHD_Response *response = NULL;
	size_t len = reply->body ? strlen(reply->body) : 0;
	bool ok;

	/*
	 * Copied, because the connection may outlive the request that owns the text; the
	 * library copies through this pointer and does not write to it.
	 */
	if (FAULT(-ENOMEM) == 0)
		response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)reply->body,
							   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return -ENOMEM;
	ok = MHD_set_response_options(response, MHD_RF_SEND_KEEP_ALIVE_HEADER, MHD_RO_END) ==
		     MHD_YES &&
	     add_headers(response, reply) &&
	     MHD_queue_response(conn, reply->status, response) == MHD_YES;
	MHD_destroy_response(response);
	return ok ? 0 : -ENOMEM;
}
