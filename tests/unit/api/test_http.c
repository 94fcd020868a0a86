/* SPDX-License-Identifier: Apache-2.0 */
/* The server through its socket: what one client may do, and what it gets. */
#include "rig.h"

static struct answer a;

static const char machine[] = "{\"vcpu_count\":2,\"mem_size_mib\":64}";

TEST(a_get_is_answered_with_the_contracts_headers)
{
	int fd;

	rig_start();
	fd = dial();
	call_api(fd, "GET", "/", "", &a);
	CHECK_EQ(a.status, 200);
	CHECK_TEXT(a.body, RIG_INSTANCE);
	CHECK_TEXT(header_of(&a, "Server"), "Firecracker API");
	CHECK_TEXT(header_of(&a, "Content-Type"), "application/json");
	CHECK(strcasecmp(header_of(&a, "Connection"), "keep-alive") == 0);
	CHECK(!header_of(&a, "Date"));
	CHECK(!header_of(&a, "Deprecation"));
	call_api(fd, "GET", "/version", "", &a);
	CHECK_TEXT(a.body, "{\"firecracker_version\":\"1.17.0\"}");
	CHECK_EQ(rig_get(nactions), 0);
	close(fd);
	rig_stop();
}

TEST(an_action_is_answered_with_204_and_no_body)
{
	int fd;

	rig_start();
	fd = dial();
	for (unsigned i = 1; i <= 3; i++) {
		call_api(fd, "PUT", "/machine-config", machine, &a);
		CHECK_EQ(a.status, 204);
		CHECK_EQ(a.body_len, 0);
		CHECK(!header_of(&a, "Content-Length"));
		CHECK(!header_of(&a, "Content-Type"));
		CHECK_TEXT(header_of(&a, "Server"), "Firecracker API");
		CHECK(strcasecmp(header_of(&a, "Connection"), "keep-alive") == 0);
		CHECK_EQ(rig_get(nactions), i);
	}
	CHECK_EQ(rig_get(last), ACTION_PUT_MACHINE_CONFIG);
	close(fd);
	rig_stop();
}

TEST(errors_have_one_shape_and_the_right_status)
{
	int fd;

	rig_start();
	fd = dial();
	rig_vmm.kind = ERR_STATE;
	rig_set(failure, "Machine config error: \"x\"\\\n\xc3\xa4\xff");
	call_api(fd, "PUT", "/machine-config", machine, &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body,
		   "{\"fault_message\":\"Machine config error: \\\"x\\\"\\\\\\n\xc3\xa4?\"}");
	CHECK_TEXT(header_of(&a, "Content-Type"), "application/json");
	/* The host's EBADMSG (a damaged file system) is no word about the body. */
	rig_vmm.code = -EBADMSG;
	rig_set(failure, "Boot source error: Bad message");
	call_api(fd, "PUT", "/machine-config", machine, &a);
	CHECK_TEXT(a.body, "{\"fault_message\":\"Boot source error: Bad message\"}");
	rig_vmm.kind = ERR_TOO_LARGE;
	rig_set(failure, "full");
	call_api(fd, "PATCH", "/vm", "{\"state\":\"Paused\"}", &a);
	CHECK_EQ(a.status, 413);
	CHECK_TEXT(a.body, "{\"fault_message\":\"full\"}");
	call_api(fd, "PUT", "/entropy", "{\"a\":1}", &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body,
		   "{\"fault_message\":\"An error occurred when deserializing the json body "
		   "of a request: unknown field `a`, expected `rate_limiter` at line 1 column 4"
		   ".\"}");
	call_api(fd, "GET", "/nowhere", "", &a);
	CHECK_EQ(a.status, 400);
	close(fd);
	rig_stop();
}

TEST(deprecation_is_announced_on_success_and_on_errors)
{
	static const char old[] = "{\"vcpu_count\":1,\"mem_size_mib\":64,\"cpu_template\":\"T2\"}";
	static const char bad[] = "{\"vcpu_count\":0,\"mem_size_mib\":64,\"cpu_template\":\"T2\"}";
	int fd;

	rig_start();
	fd = dial();
	call_api(fd, "PUT", "/machine-config", old, &a);
	CHECK_EQ(a.status, 204);
	CHECK_TEXT(header_of(&a, "Deprecation"), "true");
	call_api(fd, "PUT", "/machine-config", bad, &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(header_of(&a, "Deprecation"), "true");
	rig_set(failure, "no");
	call_api(fd, "PUT", "/machine-config", old, &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(header_of(&a, "Deprecation"), "true");
	CHECK_EQ(counter_get(&api_metrics(rig_api)->deprecated.deprecated_http_api_calls), 3);
	call_api(fd, "PUT", "/machine-config", machine, &a);
	CHECK(!header_of(&a, "Deprecation"));
	CHECK_EQ(counter_get(&api_metrics(rig_api)->deprecated.deprecated_http_api_calls), 3);
	close(fd);
	rig_stop();
}

TEST(other_methods_are_transport_errors_and_the_connection_stays)
{
	static const char *const methods[] = { "POST", "OPTIONS", "put", "CONNECT", "TRACE" };
	int fd;

	rig_start();
	fd = dial();
	for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
		call_api(fd, methods[i], "/machine-config", machine, &a);
		CHECK_EQ(a.status, 400);
		CHECK_TEXT(a.body, "{\"error\":\"Invalid HTTP Method: Unsupported HTTP method.\"}");
	}
	call_api(fd, "GET", "/", "", &a);
	CHECK_EQ(a.status, 200);
	CHECK_EQ(rig_get(nactions), 0);
	close(fd);
	rig_stop();
}

TEST(escapes_and_queries_are_not_understood)
{
	int fd;

	rig_start();
	fd = dial();
	call_api(fd, "GET", "/%76ersion", "", &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body, "{\"fault_message\":\"Invalid request method and/or path: GET "
			   "%76ersion.\"}");
	call_api(fd, "GET", "/version%00", "", &a);
	CHECK_EQ(a.status, 400);
	call_api(fd, "GET", "/version?a=b", "", &a);
	CHECK_EQ(a.status, 400);
	call_api(fd, "GET", "http://host/version", "", &a);
	CHECK_EQ(a.status, 200);
	close(fd);
	rig_stop();
}

/* A body of `len' bytes: valid JSON, filled up with spaces. */
static char *big_body(size_t len)
{
	char *body = malloc(len + 1);

	CHECK(body);
	memset(body, ' ', len);
	memcpy(body, machine, strlen(machine));
	body[len] = '\0';
	return body;
}

TEST(a_body_may_have_the_limit_and_not_a_byte_more)
{
	char *fits = big_body(API_MAX_PAYLOAD_DEFAULT), *large = big_body(51201);
	int fd;

	rig_start();
	fd = dial();
	call_api(fd, "PUT", "/machine-config", fits, &a);
	CHECK_EQ(a.status, 204);
	call_api(fd, "PUT", "/machine-config", large, &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body, "{\"error\":\"Request payload with size 51201 is larger than the limit "
			   "of 51200 allowed by server.\"}");
	close(fd);
	/* The answer comes when the headers end, whether the body is sent or not. */
	fd = dial();
	say(fd, "PUT /machine-config HTTP/1.1\r\nContent-Length: 51201\r\n\r\n");
	hear(fd, &a);
	CHECK_EQ(a.status, 400);
	check_closed(fd);
	close(fd);
	CHECK_EQ(rig_get(nactions), 1);
	rig_stop();
	free(fits);
	free(large);
}

/* The client writes all it has before it reads, as simple ones do. */
TEST(a_client_with_a_huge_body_still_gets_its_answer)
{
	char *huge = big_body(4 << 20);
	int fd;

	rig_start();
	for (int i = 0; i < 20; i++) {
		fd = dial();
		call_api(fd, "PUT", "/machine-config", huge, &a);
		CHECK_EQ(a.status, 400);
		check_closed(fd);
		close(fd);
	}
	rig_stop();
	free(huge);
}

static void say_chunk(int fd, const char *s, size_t len)
{
	char head[32];

	snprintf(head, sizeof(head), "%zx\r\n", len);
	say(fd, head);
	say_mem(fd, s, len);
	say(fd, "\r\n");
}

static void put_chunked(int fd, const char *body, size_t piece)
{
	size_t len = strlen(body);

	say(fd, "PUT /machine-config HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t at = 0; at < len; at += piece)
		say_chunk(fd, body + at, len - at < piece ? len - at : piece);
	say(fd, "0\r\n\r\n");
	hear(fd, &a);
}

TEST(chunked_bodies_have_the_same_limit)
{
	char *fits = big_body(51200), *large = big_body(51201);
	int fd;

	rig_start();
	fd = dial();
	put_chunked(fd, machine, 1);
	CHECK_EQ(a.status, 204);
	put_chunked(fd, fits, 1000);
	CHECK_EQ(a.status, 204);
	put_chunked(fd, large, 1000);
	CHECK_EQ(a.status, 400);
	CHECK(strstr(a.body, "larger than the limit of 51200"));
	put_chunked(fd, machine, 100);
	CHECK_EQ(a.status, 204);
	CHECK_EQ(rig_get(nactions), 3);
	close(fd);
	rig_stop();
	free(fits);
	free(large);
}

TEST(an_endless_chunked_body_is_cut_off)
{
	static char piece[4096];
	int fd, cut = 0;

	rig_start();
	fd = dial();
	memset(piece, ' ', sizeof(piece));
	say(fd, "PUT /entropy HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 1024 && !cut; i++) {
		static char chunk[sizeof(piece) + 8];

		memcpy(chunk, "1000\r\n", 6);
		memcpy(chunk + 6, piece, sizeof(piece));
		memcpy(chunk + 6 + sizeof(piece), "\r\n", 2);
		cut = send(fd, chunk, 6 + sizeof(piece) + 2, MSG_NOSIGNAL) < 0;
	}
	CHECK(cut);
	close(fd);
	rig_stop();
}

TEST(a_length_said_twice_is_refused)
{
	static const char *const heads[] = {
		"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
		"Content-Length: 2\r\nContent-Length: 2\r\n",
		"Content-Length: 2\r\nContent-Length: 3\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip\r\n",
	};

	rig_start();
	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		int fd = dial();

		say(fd, "PUT /entropy HTTP/1.1\r\nHost: h\r\n");
		say(fd, heads[i]);
		say(fd, "\r\n{}");
		hear(fd, &a);
		CHECK_EQ(a.status, 400);
		CHECK(strstr(a.body, "{\"error\":\"Invalid header. Reason: "));
		check_closed(fd);
		close(fd);
	}
	CHECK_EQ(rig_get(nactions), 0);
	rig_stop();
}

TEST(pipelined_requests_are_answered_in_order)
{
	int fd;

	rig_start();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
		"PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
		"GET /version HTTP/1.1\r\nHost: h\r\n\r\n"
		"PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]"
		"GET /machine-config HTTP/1.1\r\nHost: h\r\n\r\n");
	hear(fd, &a);
	CHECK_TEXT(a.body, RIG_INSTANCE);
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	hear(fd, &a);
	CHECK(strstr(a.body, "firecracker_version"));
	hear(fd, &a);
	CHECK_EQ(a.status, 400);
	hear(fd, &a);
	CHECK_TEXT(a.body, RIG_MACHINE);
	CHECK_EQ(rig_get(nactions), 1);
	close(fd);
	rig_stop();
}

TEST(a_request_may_come_byte_by_byte)
{
	static const char request[] =
		"PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
	int fd;

	rig_start();
	fd = dial();
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		say_mem(fd, request + i, 1);
		usleep(500);
	}
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	close(fd);
	rig_stop();
}

TEST(http_1_0_is_served_and_closed)
{
	int fd;

	rig_start();
	fd = dial();
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	hear(fd, &a);
	CHECK_EQ(a.status, 200);
	CHECK_TEXT(a.body, RIG_INSTANCE);
	check_closed(fd);
	close(fd);
	fd = dial();
	for (int i = 0; i < 2; i++) {
		say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
		hear(fd, &a);
		CHECK_EQ(a.status, 200);
	}
	close(fd);
	rig_stop();
}

TEST(a_client_that_asks_gets_100_continue)
{
	int fd;

	rig_start();
	fd = dial();
	say(fd, "PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		"Expect: 100-continue\r\n\r\n");
	hear(fd, &a);
	CHECK_EQ(a.status, 100);
	say(fd, "{}");
	hear(fd, &a);
	CHECK_EQ(a.status, 204);
	say(fd, "PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 51201\r\n"
		"Expect: 100-continue\r\n\r\n");
	hear(fd, &a);
	CHECK_EQ(a.status, 400);
	close(fd);
	rig_stop();
}

/* As `printf ... | nc -N -U socket' does it. */
TEST(a_client_that_closes_its_half_is_answered_and_closed)
{
	static const char *const rests[] = {
		"", "\r\n", "GE", "GET / HTTP/1.1\r\nHo",
		"PUT /entropy HTTP/1.1\r\nContent-Length: 5\r\n\r\n{"
	};
	int fd;

	rig_start();
	for (unsigned i = 0; i < ARRAY_SIZE(rests); i++) {
		fd = dial();
		say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
			"PUT /entropy HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
			"GET /version HTTP/1.1\r\nHost: h\r\n\r\n");
		say(fd, rests[i]);
		shutdown(fd, SHUT_WR);
		hear(fd, &a);
		CHECK_EQ(a.status, 200);
		hear(fd, &a);
		CHECK_EQ(a.status, 204);
		hear(fd, &a);
		CHECK(strstr(a.body, "firecracker_version"));
		check_closed(fd);
		close(fd);
	}
	CHECK_EQ(rig_get(nactions), ARRAY_SIZE(rests));
	rig_stop();
}

TEST(what_is_no_http_is_refused_and_harms_nobody)
{
	static const char *const junk[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"\x16\x03\x01\x02",
		"GET / HTTP/9.9\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"GET / HTTP/1.1\r\n: empty\r\n\r\n",
		"PUT /entropy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		("PUT /entropy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "ffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
	};
	char *line = big_body(40000);
	int fd;

	rig_start();
	for (unsigned i = 0; i <= ARRAY_SIZE(junk); i++) {
		fd = dial();
		if (i < ARRAY_SIZE(junk)) {
			say(fd, junk[i]);
		} else {
			memset(line, 'a', strlen(line));
			say(fd, "GET /");
			(void)send(fd, line, strlen(line), MSG_NOSIGNAL);
		}
		shutdown(fd, SHUT_WR);
		hear(fd, &a);
		close(fd);
		fd = dial();
		call_api(fd, "GET", "/", "", &a);
		CHECK_EQ(a.status, 200);
		close(fd);
	}
	CHECK_EQ(rig_get(nactions), 0);
	rig_stop();
	free(line);
}

TEST(a_nul_in_the_path_does_not_reach_a_resource)
{
	static const char request[] = "GET /version\0/x HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd;

	rig_start();
	fd = dial();
	say_mem(fd, request, sizeof(request) - 1);
	hear(fd, &a);
	CHECK_EQ(a.status, 400);
	CHECK_TEXT(a.body, "{\"error\":\"Invalid URI: The path contains a NUL byte.\"}");
	close(fd);
	rig_stop();
}
