/* SPDX-License-Identifier: Apache-2.0 */
#include "api/request_log.h"

#include <string.h>

#include "base/log.h"

enum { LOG_TEXT_MAX = 2048 }; /* as long as the log's own lines */

static void put_escaped(struct text *t, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		text_fmt(t, "\\%c", c);
		break;
	case '\n':
		text_str(t, "\\n");
		break;
	case '\r':
		text_str(t, "\\r");
		break;
	case '\t':
		text_str(t, "\\t");
		break;
	case '\0':
		text_str(t, "\\0");
		break;
	default:
		if (c < 0x20 || c == 0x7f)
			text_fmt(t, "\\u{%x}", c);
		else
			text_mem(t, (const char *)&c, 1);
	}
}

void request_log_quote(struct text *t, const char *s, size_t len)
{
	text_str(t, "\"");
	for (size_t i = 0; i < len && text_ok(t); i++)
		put_escaped(t, (unsigned char)s[i]);
	text_str(t, "\"");
}

/* Also with something behind it that makes it no path at all. */
static bool is_of_mmds(struct route_token first)
{
	return first.len >= 4 && memcmp(first.s, "mmds", 4) == 0;
}

void request_log(const struct route_req *req)
{
	static const char *const names[] = {
		[ROUTE_GET] = "Get",
		[ROUTE_PUT] = "Put",
		[ROUTE_PATCH] = "Patch",
		[ROUTE_DELETE] = "Delete",
	};
	struct route_token first;
	char buf[LOG_TEXT_MAX];
	struct text t;

	route_split(req->target, &first, 1);
	text_init(&t, buf, sizeof(buf));
	text_fmt(&t, "The API server received a %s request on ", names[req->method]);
	request_log_quote(&t, req->target, strlen(req->target));
	/* Metadata may be secret, and a CPU template is long. */
	if (route_token_is(first, "cpu-config") && log_configured().level < LOG_DEBUG) {
		text_str(&t, ". To view the CPU template received by the API, configure log-level "
			     "to DEBUG");
	} else if (req->len > 0 && !is_of_mmds(first)) {
		text_str(&t, " with body ");
		request_log_quote(&t, req->body, req->len);
	}
	log_info("%s.", buf);
}
