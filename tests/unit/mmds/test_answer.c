/* SPDX-License-Identifier: Apache-2.0 */
/* What requests are answered, to the byte: every status of the contract, in V1 and V2. */
#include "mmds/service.h"

#include "mmds/expect.h"

static const char sample[] = "{\"latest\":{\"meta-data\":{\"ami-id\":\"ami-1\",\"list\":[\"a\"],"
			     "\"empty\":\"\",\"n\":512,\"net\":{\"x\":1}}}}";

#define HEAD(status, connection) \
	"HTTP/1.1 " status "\r\nServer: Firecracker API\r\nConnection: " connection "\r\n"
#define BODY(type, length, body) "Content-Type: " type "\r\nContent-Length: " length "\r\n\r\n" body
#define TEXT(length, body)	 BODY("text/plain", length, body)

static struct mmds_reply reply;
static usec_t now = 1000;

/* The bytes of the answer. */
static const char *ask(struct mmds *mmds, const char *request)
{
	static char got[2 * MMDS_REPLY_MAX];
	size_t used = mmds_answer(mmds, request, strlen(request), now, &reply);

	CHECK_EQ(used, strlen(request));
	CHECK(reply.len + reply.body.len < sizeof(got));
	memcpy(got, reply.text, reply.len);
	if (reply.body.len > 0)
		memcpy(got + reply.len, reply.body.p, reply.body.len);
	got[reply.len + reply.body.len] = '\0';
	mmds_reply_fini(&reply);
	return got;
}

static void expect(struct mmds *mmds, const char *request, const char *want)
{
	const char *got = ask(mmds, request);

	expect_text(got, strlen(got), want);
}

static void expect_value(struct mmds *mmds, const char *path, const char *headers, const char *want)
{
	char request[512];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
	expect(mmds, request, want);
}

#define JSON "Accept: application/json\r\n"

TEST(text_and_json)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect_value(mmds, "/latest/meta-data/", "",
		     HEAD("200 OK", "keep-alive") TEXT("24", "ami-id\nempty\nlist\nn\nnet/"));
	expect_value(mmds, "/latest/meta-data/ami-id", "",
		     HEAD("200 OK", "keep-alive") TEXT("5", "ami-1"));
	expect_value(mmds, "/latest/meta-data/ami-id", JSON,
		     HEAD("200 OK", "keep-alive") BODY("application/json", "7", "\"ami-1\""));
	expect_value(mmds, "/latest/meta-data/list", JSON,
		     HEAD("200 OK", "keep-alive") BODY("application/json", "5", "[\"a\"]"));
	expect_value(mmds, "/latest/meta-data/list/0", "",
		     HEAD("200 OK", "keep-alive") TEXT("1", "a"));
	expect_value(mmds, "//latest///meta-data//net//", JSON,
		     HEAD("200 OK", "keep-alive") BODY("application/json", "7", "{\"x\":1}"));
	expect_value(mmds, "/latest/meta-data/n", JSON,
		     HEAD("200 OK", "keep-alive") BODY("application/json", "3", "512"));
	expect_value(mmds, "http://169.254.169.254/", "",
		     HEAD("200 OK", "keep-alive") TEXT("7", "latest/"));
	mmds_destroy(mmds);
}

/* An empty body has a length too: without one a client waits for the end of the connection. */
TEST(an_empty_body_has_a_length)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect_value(mmds, "/latest/meta-data/empty", "",
		     HEAD("200 OK", "keep-alive") TEXT("0", ""));
	mmds_destroy(mmds);
	mmds = make_mmds("{}", 51200);
	expect_value(mmds, "/", "", HEAD("200 OK", "keep-alive") TEXT("0", ""));
	mmds_destroy(mmds);
}

TEST(what_is_not_there_and_what_has_no_text)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect_value(mmds, "/latest//nothing", "",
		     HEAD("404 Not Found", "keep-alive")
			     TEXT("37", "Resource not found: /latest//nothing."));
	expect_value(mmds, "/latest?q", JSON,
		     HEAD("404 Not Found", "keep-alive")
			     TEXT("30", "Resource not found: /latest?q."));
	expect_value(mmds, "/latest/meta-data/n", "",
		     HEAD("501 Not Implemented", "keep-alive") TEXT(
			     "57", "Cannot retrieve value. The value has an unsupported type."));
	mmds_destroy(mmds);
}

TEST(before_there_is_a_document)
{
	struct mmds *mmds = make_mmds(NULL, 51200);

	expect_value(mmds, "/", JSON,
		     HEAD("200 OK", "keep-alive") BODY("application/json", "4", "null"));
	expect_value(mmds, "/", "",
		     HEAD("501 Not Implemented", "keep-alive") TEXT(
			     "57", "Cannot retrieve value. The value has an unsupported type."));
	expect_value(mmds, "/a", "",
		     HEAD("404 Not Found", "keep-alive") TEXT("23", "Resource not found: /a."));
	mmds_destroy(mmds);
}

TEST(compatible_with_imds_it_is_always_text)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	mmds_configure(mmds, MMDS_V1, true);
	expect_value(mmds, "/latest/meta-data/ami-id", JSON,
		     HEAD("200 OK", "keep-alive") TEXT("5", "ami-1"));
	expect_value(mmds, "/latest/meta-data/n", JSON,
		     HEAD("501 Not Implemented", "keep-alive") TEXT(
			     "57", "Cannot retrieve value. The value has an unsupported type."));
	mmds_destroy(mmds);
}

TEST(methods_that_are_not_served)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect(mmds, "PATCH / HTTP/1.1\r\n\r\n",
	       HEAD("405 Method Not Allowed",
		    "keep-alive") "Allow: GET, PUT\r\n" TEXT("24", "Not allowed HTTP method."));
	expect(mmds, "DELETE /latest HTTP/1.1\r\n\r\n",
	       HEAD("405 Method Not Allowed",
		    "keep-alive") "Allow: GET, PUT\r\n" TEXT("24", "Not allowed HTTP method."));
	expect(mmds, "POST / HTTP/1.1\r\n\r\n",
	       HEAD("501 Not Implemented", "close") TEXT("24", "Unsupported HTTP method."));
	expect(mmds, "GET / HTTP/3.0\r\n\r\n",
	       HEAD("501 Not Implemented", "close") TEXT("25", "Unsupported HTTP version."));
	mmds_destroy(mmds);
}

TEST(bad_requests)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect(mmds, "GET http://x HTTP/1.1\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive") TEXT("12", "Invalid URI."));
	expect(mmds, "GET / HTTP/1.1\r\nContent-Length: 100\r\n\r\nsome body",
	       HEAD("400 Bad Request", "close") TEXT("16", "Invalid request."));
	expect(mmds, "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
	       HEAD("400 Bad Request", "close")
		       TEXT("66", "Invalid header. Reason: Invalid value. Key:Content-Length; "
				  "Value:x"));
	mmds_destroy(mmds);
}

TEST(the_version_of_http_is_the_requests)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect(mmds, "GET /latest HTTP/1.0\r\n\r\n",
	       "HTTP/1.0 200 OK\r\nServer: Firecracker API\r\nConnection: close\r\n" TEXT(
		       "10", "meta-data/"));
	expect(mmds, "GET /latest HTTP/1.1\r\nConnection: close\r\n\r\n",
	       HEAD("200 OK", "close") TEXT("10", "meta-data/"));
	mmds_destroy(mmds);
}

/* A token by the header `name', for `ttl' seconds. */
static const char *get_token(struct mmds *mmds, const char *name, unsigned ttl)
{
	static char token[MMDS_TOKEN_LEN + 1];
	char request[256], want[256];
	const char *got;

	snprintf(request, sizeof(request), "PUT /latest/api/token HTTP/1.1\r\n%s: %u\r\n\r\n", name,
		 ttl);
	got = ask(mmds, request);
	snprintf(want, sizeof(want), HEAD("200 OK", "keep-alive") "%s: %u\r\n" TEXT("48", ""), name,
		 ttl);
	CHECK(strncmp(got, want, strlen(want)) == 0);
	CHECK_EQ(strlen(got), strlen(want) + MMDS_TOKEN_LEN);
	memcpy(token, got + strlen(want), sizeof(token));
	return token;
}

TEST(v2_wants_a_token)
{
	struct mmds *mmds = make_mmds(sample, 51200);
	char header[128];

	mmds_configure(mmds, MMDS_V2, false);
	expect_value(mmds, "/latest", "",
		     HEAD("401 Unauthorized", "keep-alive")
			     TEXT("113", "No MMDS token provided. Use `X-metadata-token` or "
					 "`X-aws-ec2-metadata-token` header to specify the session "
					 "token."));
	expect_value(mmds, "/latest", "X-metadata-token: foo\r\n",
		     HEAD("401 Unauthorized", "keep-alive") TEXT("21", "MMDS token not valid."));
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_no_token), 1);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_invalid_token), 1);
	snprintf(header, sizeof(header), "X-metadata-token: %s\r\n",
		 get_token(mmds, "X-metadata-token-ttl-seconds", 60));
	expect_value(mmds, "/latest", header,
		     HEAD("200 OK", "keep-alive") TEXT("10", "meta-data/"));
	snprintf(header, sizeof(header), "x-AWS-ec2-metadata-token: %s\r\n",
		 get_token(mmds, "x-aws-EC2-metadata-token-ttl-seconds", 1));
	expect_value(mmds, "/latest", header,
		     HEAD("200 OK", "keep-alive") TEXT("10", "meta-data/"));
	now += USEC_PER_SEC;
	expect_value(mmds, "/latest", header,
		     HEAD("401 Unauthorized", "keep-alive") TEXT("21", "MMDS token not valid."));
	mmds_destroy(mmds);
}

TEST(v1_counts_tokens_and_wants_none)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	expect_value(mmds, "/latest", "", HEAD("200 OK", "keep-alive") TEXT("10", "meta-data/"));
	expect_value(mmds, "/latest", "X-metadata-token: bad\r\n",
		     HEAD("200 OK", "keep-alive") TEXT("10", "meta-data/"));
	get_token(mmds, "X-metadata-token-ttl-seconds", 21600);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_no_token), 1);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_invalid_token), 1);
	mmds_destroy(mmds);
}

TEST(tokens_that_are_not_issued)
{
	struct mmds *mmds = make_mmds(sample, 51200);

	mmds_configure(mmds, MMDS_V2, false);
	expect(mmds, "PUT /latest/api/token HTTP/1.1\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive")
		       TEXT("152", "Token time to live value not found. Use "
				   "`X-metadata-token-ttl-seconds` or "
				   "`X-aws-ec2-metadata-token-ttl-seconds` header to specify the "
				   "token's lifetime."));
	expect(mmds, "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 0\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive") TEXT(
		       "93", "Invalid time to live value provided for token: 0. Please provide "
			     "a value between 1 and 21600."));
	expect(mmds,
	       "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 21601\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive")
		       TEXT("97", "Invalid time to live value provided for token: 21601. Please "
				  "provide a value between 1 and 21600."));
	expect(mmds, "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: -1\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive")
		       TEXT("81", "Invalid header. Reason: Invalid value. "
				  "Key:X-metadata-token-ttl-seconds; Value:-1"));
	expect(mmds,
	       "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n"
	       "x-forwarded-for: 1.2.3.4\r\n\r\n",
	       HEAD("400 Bad Request", "keep-alive")
		       TEXT("69", "Invalid header. Reason: Unsupported header name. Key: "
				  "x-forwarded-for"));
	expect(mmds, "PUT /latest/api/toke HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n\r\n",
	       HEAD("404 Not Found", "keep-alive")
		       TEXT("37", "Resource not found: /latest/api/toke."));
	mmds_destroy(mmds);
}

/* What is repeated of the longest request fits into the longest answer. */
TEST(the_longest_errors)
{
	struct mmds *mmds = make_mmds(sample, 51200);
	static char text[MMDS_REQUEST_MAX + 1];
	const char *got;

	memset(text, 'a', MMDS_REQUEST_MAX);
	memcpy(text, "GET /", 5);
	memcpy(text + MMDS_REQUEST_MAX - 13, " HTTP/1.1\r\n\r\n", 13);
	got = ask(mmds, text);
	CHECK(strstr(got, "404 Not Found") != NULL && got[strlen(got) - 1] == '.');
	memcpy(text, "GET / HTTP/1.1\r\nContent-Length: ", 32);
	memset(text + MMDS_REQUEST_MAX - 13, 'a', 9);
	got = ask(mmds, text);
	CHECK(strstr(got, "400 Bad Request") != NULL && got[strlen(got) - 1] == 'a');
	memset(text, '\n', 1);
	memset(text + 1, 'b', MMDS_REQUEST_MAX - 1);
	got = ask(mmds, text);
	CHECK(strstr(got, "Invalid request.") != NULL);
	mmds_destroy(mmds);
}
