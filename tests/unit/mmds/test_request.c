/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests: what is complete, what its parts are, what is refused and how. */
#include "mmds/request.h"

#include "mmds/expect.h"

static struct mmds_request parse(const char *text)
{
	struct mmds_request req;
	struct mmds_fault fault = { 0 };

	CHECK_EQ(mmds_request_parse(text, strlen(text), &req, &fault), strlen(text));
	return req;
}

TEST(the_parts_of_a_request)
{
	struct mmds_request req = parse("PUT http://169.254.169.254/latest/api//token HTTP/1.1\r\n"
					"Host: 169.254.169.254\r\n"
					"ACCEPT:application/json\r\n"
					"x-MetaData-token: \t abc= \r\n"
					"X-aws-ec2-metadata-token-TTL-seconds:60\r\n"
					"x-forwarded-FOR: 1.2.3.4\r\n"
					"Content-Length: 0\r\n"
					"Expect: 100-continue\r\n\r\n");

	CHECK_EQ(req.method, MMDS_METHOD_PUT);
	CHECK(!req.http10 && !req.close);
	CHECK_EQ(req.accept, MMDS_FORM_JSON);
	expect_slice(req.path, "/latest/api//token");
	expect_slice(req.token, "abc=");
	expect_slice(req.ttl_name, "X-aws-ec2-metadata-token-TTL-seconds");
	expect_slice(req.ttl, "60");
	expect_slice(req.forwarded_name, "x-forwarded-FOR");
}

TEST(both_names_of_each_header)
{
	expect_slice(parse("GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: t\r\n\r\n").token, "t");
	expect_slice(parse("GET / HTTP/1.1\r\nX-metadata-token: t\r\n\r\n").token, "t");
	expect_slice(parse("PUT / HTTP/1.1\r\nX-metadata-token-ttl-seconds: 5\r\n\r\n").ttl, "5");
	CHECK(parse("GET / HTTP/1.1\r\nX-metadata-tokens: t\r\n\r\n").token.p == NULL);
}

TEST(methods_versions_and_endings)
{
	CHECK_EQ(parse("GET / HTTP/1.0\n\n").method, MMDS_METHOD_GET);
	CHECK_EQ(parse("\r\n\nPATCH / HTTP/1.1\r\n\n").method, MMDS_METHOD_PATCH);
	CHECK_EQ(parse("DELETE / HTTP/1.1\r\n\r\n").method, MMDS_METHOD_DELETE);
	CHECK(parse("GET / HTTP/1.0\r\n\r\n").http10);
	CHECK(parse("GET / HTTP/1.0\r\n\r\n").close);
	CHECK(!parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").close);
	CHECK(parse("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").close);
}

TEST(what_is_accepted)
{
	static const struct {
		const char *value;
		enum mmds_form form;
	} rows[] = {
		{ "application/json", MMDS_FORM_JSON },
		{ "text/plain", MMDS_FORM_TEXT },
		{ "*/*", MMDS_FORM_TEXT },
		{ "application/json, text/plain", MMDS_FORM_TEXT },
		{ "application/json2", MMDS_FORM_TEXT },
		{ "", MMDS_FORM_TEXT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[128];

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nAccept: %s\r\n\r\n", rows[i].value);
		CHECK_EQ(parse(text).accept, rows[i].form);
	}
	CHECK_EQ(parse("GET / HTTP/1.1\r\n\r\n").accept, MMDS_FORM_TEXT);
}

TEST(paths)
{
	expect_slice(parse("GET /a%20b?c#d HTTP/1.1\r\n\r\n").path, "/a%20b?c#d");
	expect_slice(parse("GET http://x HTTP/1.1\r\n\r\n").path, "");
	expect_slice(parse("GET http:// HTTP/1.1\r\n\r\n").path, "");
	expect_slice(parse("GET http:/// HTTP/1.1\r\n\r\n").path, "/");
	expect_slice(parse("GET a/b HTTP/1.1\r\n\r\n").path, "");
	expect_slice(parse("GET * HTTP/1.1\r\n\r\n").path, "");
}

TEST(nothing_is_done_before_the_end_has_come)
{
	static const char text[] = "GET /a HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\nGET /b";
	const size_t end = strlen(text) - strlen("GET /b");
	struct mmds_request req;
	struct mmds_fault fault;

	for (size_t len = 0; len <= strlen(text); len++)
		CHECK_EQ(mmds_request_parse(text, len, &req, &fault), len < end ? 0 : end);
	expect_slice(req.path, "/a");
}

TEST(what_is_refused)
{
	static const struct {
		const char *text;
		unsigned status;
		const char *why, *name, *value;
	} rows[] = {
		{ "GET\r\n\r\n", 400, "Invalid request.", NULL, NULL },
		{ "GET /\r\n\r\n", 400, "Invalid request.", NULL, NULL },
		{ "GET  HTTP/1.1\r\n\r\n", 400, "Invalid request.", NULL, NULL },
		{ " GET / HTTP/1.1\r\n\r\n", 400, "Invalid request.", NULL, NULL },
		{ "POST / HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP method.", NULL, NULL },
		{ "get / HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP method.", NULL, NULL },
		{ "GETS / HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP method.", NULL, NULL },
		{ "GET / HTTP/2.0\r\n\r\n", 501, "Unsupported HTTP version.", NULL, NULL },
		{ "GET / HTTP/1.1 \r\n\r\n", 501, "Unsupported HTTP version.", NULL, NULL },
		{ "GET / a HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP version.", NULL, NULL },
		{ "GET / HTTP/1.1\r\nHost\r\n\r\n", 400, "Invalid header. Reason: Invalid format.",
		  NULL, NULL },
		{ "GET / HTTP/1.1\r\n: x\r\n\r\n", 400, "Invalid header. Reason: Invalid format.",
		  NULL, NULL },
		{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid format.", NULL, NULL },
		{ "GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid format.", NULL, NULL },
		{ "PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 400, "Invalid request.", NULL,
		  NULL },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Invalid request.",
		  NULL, NULL },
		{ "GET / HTTP/1.1\r\nContent-length: -1\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid value.", "Content-length", "-1" },
		{ "GET / HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid value.", "Content-Length", "4294967296" },
		{ "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid value.", "Content-Length", "" },
		{ "GET / HTTP/1.1\r\nAccept-Encoding: gzip, identity;q=0\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid value.", "Accept-Encoding", "identity;q=0" },
		{ "GET / HTTP/1.1\r\nAccept-Encoding: *;q=0\r\n\r\n", 400,
		  "Invalid header. Reason: Invalid value.", "Accept-Encoding", "*;q=0" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mmds_request req;
		struct mmds_fault fault = { 0 };

		CHECK_EQ(mmds_request_parse(rows[i].text, strlen(rows[i].text), &req, &fault),
			 -EBADMSG);
		CHECK_EQ(fault.status, rows[i].status);
		expect_text(fault.text, strlen(fault.text), rows[i].why);
		CHECK_EQ(fault.name.p != NULL, rows[i].name != NULL);
		if (rows[i].name) {
			expect_slice(fault.name, rows[i].name);
			expect_slice(fault.value, rows[i].value);
		}
	}
	parse("GET / HTTP/1.1\r\nAccept-Encoding: *;q=0, identity\r\n\r\n");
	parse("GET / HTTP/1.1\r\nAccept-Encoding: gzip;q=1.0\r\nTransfer-Encoding: identity\r\n\r\n");
}

TEST(limit_of_a_request)
{
	static char text[MMDS_REQUEST_MAX + 8];
	struct mmds_request req;
	struct mmds_fault fault = { 0 };

	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	memcpy(text + MMDS_REQUEST_MAX - 13, " HTTP/1.1\r\n\r\n", 13);
	CHECK_EQ(mmds_request_parse(text, MMDS_REQUEST_MAX, &req, &fault), MMDS_REQUEST_MAX);
	CHECK_EQ(req.path.len, MMDS_REQUEST_MAX - 4 - 13);
	CHECK_EQ(mmds_request_parse(text, sizeof(text), &req, &fault), MMDS_REQUEST_MAX);
	CHECK_EQ(mmds_request_parse(text, MMDS_REQUEST_MAX - 1, &req, &fault), 0);
	text[MMDS_REQUEST_MAX - 1] = ' '; /* one more has to come, and there is no room */
	CHECK_EQ(mmds_request_parse(text, MMDS_REQUEST_MAX, &req, &fault), -EBADMSG);
	CHECK_EQ(fault.status, 400);
}

TEST(numbers)
{
	uint32_t v = 7;

	CHECK(mmds_slice_u32((struct mmds_slice){ "4294967295", 10 }, &v));
	CHECK_EQ(v, UINT32_MAX);
	CHECK(mmds_slice_u32((struct mmds_slice){ "007", 3 }, &v));
	CHECK_EQ(v, 7);
	CHECK(!mmds_slice_u32((struct mmds_slice){ "4294967296", 10 }, &v));
	CHECK(!mmds_slice_u32((struct mmds_slice){ "99999999999", 11 }, &v));
	CHECK(!mmds_slice_u32((struct mmds_slice){ "", 0 }, &v));
	CHECK(!mmds_slice_u32((struct mmds_slice){ "1a", 2 }, &v));
	CHECK(!mmds_slice_u32((struct mmds_slice){ "-1", 2 }, &v));
}
