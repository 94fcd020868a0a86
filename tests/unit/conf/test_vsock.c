/* SPDX-License-Identifier: Apache-2.0 */
/* The socket device's configuration. */
#include "conf/vsock.h"

#include "expect.h"

static struct conf_vsock v;
static struct err e;
static bool deprecated;

static int parse(const char *body, size_t len, struct conf_vsock *ret, struct err *err)
{
	return conf_vsock_parse(body, len, ret, &deprecated, err);
}

static int parse_text(const char *body)
{
	e = (struct err){ 0 };
	deprecated = false;
	return parse(body, strlen(body), &v, &e);
}

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `guest_cid` at line 1 column 2" },
		{ "{\"guest_cid\":3}", -EBADMSG, "missing field `uds_path` at line 1 column 15" },
		{ "{\"uds_path\":\"/v\"}", -EBADMSG, "missing field `guest_cid`*" },
		{ "{\"guest_cid\":null,\"uds_path\":\"/v\"}", -EBADMSG,
		  "invalid type: null, expected u32*" },
		{ "{\"guest_cid\":\"3\",\"uds_path\":\"/v\"}", -EBADMSG, "invalid type: string*" },
		{ "{\"guest_cid\":3.5,\"uds_path\":\"/v\"}", -EBADMSG,
		  "invalid type: floating point `3.5`, expected u32*" },
		{ "{\"guest_cid\":-1,\"uds_path\":\"/v\"}", -EBADMSG,
		  "invalid value: integer `-1`, expected u32*" },
		{ "{\"guest_cid\":4294967296,\"uds_path\":\"/v\"}", -EBADMSG,
		  "invalid value: integer `4294967296`, expected u32*" },
		{ "{\"guest_cid\":3,\"uds_path\":7}", -EBADMSG, "invalid type: integer `7`*" },
		{ "{\"guest_cid\":3,\"uds_path\":\"/v\",\"vsock_id\":7}", -EBADMSG,
		  "invalid type: integer `7`*" },
		{ "{\"guest_cid\":3,\"uds_path\":\"/v\",\"id\":\"x\"}", -EBADMSG,
		  "unknown field `id`, expected one of `vsock_id`, `guest_cid`, `uds_path`*" },
		{ "{\"guest_cid\":3,\"uds_path\":\"/v\",\"guest_cid\":3}", -EBADMSG,
		  "duplicate field `guest_cid`*" },
		{ "{\"guest_cid\":0,\"uds_path\":\"/v\"}", -EINVAL,
		  "The guest_cid is 0; a guest has one from 3 to 4294967294." },
		{ "{\"guest_cid\":2,\"uds_path\":\"/v\"}", -EINVAL, "The guest_cid is 2;*" },
		{ "{\"guest_cid\":4294967295,\"uds_path\":\"/v\"}", -EINVAL,
		  "The guest_cid is 4294967295;*" },
		{ "{\"guest_cid\":3,\"uds_path\":\"\"}", -EINVAL, "The uds_path is empty." },
		{ "[]", -EBADMSG, "*" },
	};

	EXPECT_ALL_BAD(parse, struct conf_vsock, bads);
}

TEST(limits)
{
	char body[200] = "{\"guest_cid\":4294967294,\"uds_path\":\"";
	size_t at = strlen(body);

	CHECK_EQ(parse_text("{\"guest_cid\":3,\"uds_path\":\"v\"}"), 0);
	CHECK_EQ(v.guest_cid, 3);
	CHECK_EQ(strcmp(v.uds_path, "v"), 0);
	CHECK(!deprecated);
	memset(body + at, 'x', 107);
	memcpy(body + at + 107, "\"}", 3);
	CHECK_EQ(parse_text(body), 0);
	CHECK_EQ(v.guest_cid, 4294967294);
	CHECK_EQ(strlen(v.uds_path), 107);
	memcpy(body + at + 107, "x\"}", 4);
	CHECK_EQ(parse_text(body), -ERANGE);
	expect_msg(body, e.msg, "The uds_path has more than 107 characters.");
}

TEST(the_id_is_deprecated)
{
	CHECK_EQ(parse_text("{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":\"root\"}"), 0);
	CHECK(deprecated);
	CHECK_EQ(parse_text("{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":null}"), 0);
	CHECK(!deprecated);
	/* Also said of what fails for another reason. */
	CHECK_EQ(parse_text("{\"vsock_id\":\"a\",\"guest_cid\":0,\"uds_path\":\"v\"}"), -EINVAL);
	CHECK(deprecated);
}

TEST(limit_of_the_id)
{
	char body[128] = "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":\"";
	size_t at = strlen(body);

	memset(body + at, 'x', 64);
	memcpy(body + at + 64, "\"}", 3);
	CHECK_EQ(parse_text(body), 0);
	memcpy(body + at + 64, "x\"}", 4);
	CHECK_EQ(parse_text(body), -ERANGE);
	expect_msg(body, e.msg, "The vsock_id has more than 64 characters.");
}

TEST(printed_without_the_id)
{
	char buf[200];
	struct text t = TEXT_ON(buf);

	CHECK_EQ(parse_text("{\"vsock_id\":\"x\",\"uds_path\":\"/a\\\"b\",\"guest_cid\":15}"), 0);
	conf_vsock_print(&t, &v);
	expect_msg("print", buf, "{\"guest_cid\":15,\"uds_path\":\"/a\\\"b\"}");
	CHECK_EQ(parse_text(buf), 0);
	CHECK_EQ(strcmp(v.uds_path, "/a\"b"), 0);
}
