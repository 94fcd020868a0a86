/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/drive.h"

#include "conf/entropy.h"
#include "expect.h"

#define MINIMUM	  "\"drive_id\":\"a\",\"is_root_device\":false"
#define WITH_PATH "{" MINIMUM ",\"path_on_host\":\"/p\""
#define INVALID	  "Unable to create the virtio block device: Invalid block config."

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `drive_id` at line 1 column 2" },
		{ "{\"drive_id\":\"a\"}", -EBADMSG,
		  "missing field `is_root_device` at line 1 column 16" },
		{ "{" MINIMUM "}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"path_on_host\":null,\"socket\":null}", -EINVAL, INVALID },
		{ WITH_PATH ",\"socket\":\"/s\"}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"socket\":\"/s\",\"is_read_only\":false}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"socket\":\"/s\",\"rate_limiter\":{}}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"socket\":\"/s\",\"io_engine\":\"Sync\"}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"socket\":\"/s\",\"discard\":true}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"is_read_only\":true}", -EINVAL, INVALID },
		{ "{" MINIMUM ",\"socket\":\"/s\"}", -EINVAL,
		  "Unable to create the virtio block device: Drive `a` has a `socket`, and "
		  "vhost-user is not supported by this version of wisp." },
		{ "{" MINIMUM ",\"socket\":\"\"}", -EINVAL,
		  "Unable to create the virtio block device: Vhost-user backend error: *" },
		{ "{" MINIMUM ",\"path_on_host\":\"\"}", -EINVAL,
		  "Unable to create the virtio block device: Virtio backend error: *" },
		{ "{\"drive_id\":\"\",\"is_root_device\":false,\"path_on_host\":\"/p\"}", -EINVAL,
		  "The ID cannot be empty." },
		{ "{\"drive_id\":\"a b\",\"is_root_device\":false,\"path_on_host\":\"/p\"}",
		  -EINVAL, "The drive ID has characters that are not printable ASCII." },
		{ "{\"drive_id\":7,\"is_root_device\":false}", -EBADMSG,
		  "invalid type: integer `7`, expected a string at line 1 column 13" },
		{ "{\"drive_id\":null,\"is_root_device\":false}", -EBADMSG,
		  "invalid type: null, expected a string*" },
		{ "{\"drive_id\":\"a\",\"is_root_device\":\"yes\"}", -EBADMSG,
		  "invalid type: string \"yes\", expected a boolean*" },
		{ WITH_PATH ",\"partuuid\":1}", -EBADMSG, "invalid type: integer `1`, *" },
		{ WITH_PATH ",\"partuuid\":\"a init=/x\"}", -EINVAL, "*" },
		{ WITH_PATH ",\"partuuid\":\"a\\u007f\"}", -EINVAL, "*" },
		{ WITH_PATH ",\"cache_type\":\"writeback\"}", -EBADMSG,
		  "unknown variant `writeback`, expected `Unsafe` or `Writeback`*" },
		{ WITH_PATH ",\"cache_type\":null}", -EBADMSG, "expected value *" },
		{ WITH_PATH ",\"is_read_only\":0}", -EBADMSG, "invalid type: integer `0`, *" },
		{ "{" MINIMUM ",\"socket\":\"/s\",\"direct\":false}", -EINVAL, INVALID },
		{ WITH_PATH ",\"direct\":\"\"}", -EBADMSG, "invalid type: string*" },
		{ WITH_PATH ",\"discard\":1}", -EBADMSG, "invalid type: integer `1`, *" },
		{ WITH_PATH ",\"discard\":null}", -EBADMSG, "invalid type: null, *" },
		{ WITH_PATH ",\"io_engine\":\"Uring\"}", -EBADMSG,
		  "unknown variant `Uring`, expected `Sync` or `Async`*" },
		{ WITH_PATH ",\"path_on_host\":\"/q\"}", -EBADMSG,
		  "duplicate field `path_on_host`*" },
		{ WITH_PATH ",\"rate_limiter\":[]}", -EBADMSG,
		  "invalid type: sequence, expected struct RateLimiterConfig*" },
		{ WITH_PATH ",\"rate_limiter\":{\"x\":1}}", -EBADMSG,
		  "unknown field `x`, expected `bandwidth` or `ops`*" },
		{ WITH_PATH ",\"rate_limiter\":{\"ops\":{}}}", -EBADMSG, "missing field `size`*" },
		{ WITH_PATH ",\"rate_limiter\":{\"ops\":{\"size\":1}}}", -EBADMSG,
		  "missing field `refill_time`*" },
		{ WITH_PATH ",\"rate_limiter\":{\"ops\":{\"size\":-1,\"refill_time\":1}}}",
		  -EBADMSG, "invalid value: integer `-1`, expected u64*" },
		{ WITH_PATH ",\"rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1.5}}}",
		  -EBADMSG, "invalid type: floating point `1.5`, expected u64*" },
		{ WITH_PATH ",\"rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1,"
			    "\"one_time_burst\":\"1\"}}}",
		  -EBADMSG, "invalid type: string \"1\", expected u64*" },
		{ "{\"foo\":1}", -EBADMSG,
		  "unknown field `foo`, expected one of `drive_id`, `partuuid`, `is_root_device`, "
		  "`cache_type`, `is_read_only`, `path_on_host`, `rate_limiter`, `io_engine`, "
		  "`socket` at line 1 column 6" },
	};

	EXPECT_ALL_BAD(conf_drive_parse, struct conf_drive, bads);
}

static void round_trip(const char *body, const char *expected)
{
	static struct conf_drive d;
	static char buf[8192], again[8192];
	struct text t = TEXT_ON(buf), t2 = TEXT_ON(again);
	struct err e = { 0 };
	int r = conf_drive_parse(body, strlen(body), &d, &e);

	if (r < 0)
		fprintf(stderr, "# %s\n", e.msg);
	CHECK_EQ(r, 0);
	conf_drive_print(&t, &d);
	expect_msg(body, buf, expected);
	CHECK_EQ(conf_drive_parse(buf, t.len, &d, &e), 0);
	conf_drive_print(&t2, &d);
	expect_msg("printed again", again, expected);
}

TEST(print)
{
	round_trip(WITH_PATH "}",
		   "{\"drive_id\":\"a\",\"partuuid\":null,\"is_root_device\":false,"
		   "\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"path_on_host\":\"/p\","
		   "\"rate_limiter\":null,\"io_engine\":\"Sync\",\"socket\":null}");
	round_trip(
		"{\"drive_id\":\"root-1\",\"is_root_device\":true,\"partuuid\":\"0eaa-01\","
		"\"cache_type\":\"Writeback\",\"is_read_only\":true,\"path_on_host\":\"/\\u00e9\","
		"\"io_engine\":\"Async\",\"rate_limiter\":{\"bandwidth\":{\"size\":1,"
		"\"refill_time\":18446744073709551615,\"extra\":{}}}}",
		"{\"drive_id\":\"root-1\",\"partuuid\":\"0eaa-01\",\"is_root_device\":true,"
		"\"cache_type\":\"Writeback\",\"is_read_only\":true,\"path_on_host\":"
		"\"/\xc3\xa9\",\"rate_limiter\":{\"bandwidth\":{\"size\":1,"
		"\"one_time_burst\":null,\"refill_time\":18446744073709551615},\"ops\":null},"
		"\"io_engine\":\"Async\",\"socket\":null}");
	round_trip(WITH_PATH ",\"rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":2,"
			     "\"one_time_burst\":3},\"bandwidth\":{\"size\":0,\"refill_time\":2}}}",
		   "{\"drive_id\":\"a\",\"partuuid\":null,\"is_root_device\":false,"
		   "\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"path_on_host\":\"/p\","
		   "\"rate_limiter\":{\"bandwidth\":null,\"ops\":{\"size\":1,\"one_time_burst\":3,"
		   "\"refill_time\":2}},\"io_engine\":\"Sync\",\"socket\":null}");
}

TEST(ours_are_shown_only_when_set)
{
	static struct conf_drive d;
	struct err e;

	round_trip(WITH_PATH ",\"discard\":true}",
		   "{\"drive_id\":\"a\",\"partuuid\":null,\"is_root_device\":false,"
		   "\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"path_on_host\":\"/p\","
		   "\"rate_limiter\":null,\"io_engine\":\"Sync\",\"socket\":null,"
		   "\"discard\":true}");
	round_trip(WITH_PATH ",\"discard\":false}",
		   "{\"drive_id\":\"a\",\"partuuid\":null,\"is_root_device\":false,"
		   "\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"path_on_host\":\"/p\","
		   "\"rate_limiter\":null,\"io_engine\":\"Sync\",\"socket\":null}");
	CHECK_EQ(conf_drive_parse(WITH_PATH "}", strlen(WITH_PATH "}"), &d, &e), 0);
	CHECK(!d.discard && !d.direct);
	round_trip(WITH_PATH ",\"direct\":true}",
		   "{\"drive_id\":\"a\",\"partuuid\":null,\"is_root_device\":false,"
		   "\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"path_on_host\":\"/p\","
		   "\"rate_limiter\":null,\"io_engine\":\"Sync\",\"socket\":null,"
		   "\"direct\":true}");
}

/* The body of a drive whose member `key' has n times the letter x. */
static int parse_long(const char *key, unsigned n, struct err *e)
{
	static struct conf_drive d;
	static char body[6000];
	const char *id = strcmp(key, "drive_id") == 0 ? "" : "\"drive_id\":\"a\",";
	const char *path = strcmp(key, "path_on_host") == 0 ? "" : "\"path_on_host\":\"/p\",";
	int at = snprintf(body, sizeof(body), "{%s%s\"is_root_device\":true,\"%s\":\"", id, path,
			  key);

	memset(body + at, 'x', n);
	memcpy(body + at + n, "\"}", 3);
	return conf_drive_parse(body, strlen(body), &d, e);
}

TEST(limits_of_strings)
{
	struct err e = { 0 };

	CHECK_EQ(parse_long("drive_id", 64, &e), 0);
	CHECK_EQ(parse_long("drive_id", 65, &e), -ERANGE);
	expect_msg("drive_id", e.msg, "The drive ID has more than 64 characters.");
	CHECK_EQ(parse_long("path_on_host", 4095, &e), 0);
	CHECK_EQ(parse_long("path_on_host", 4096, &e), -ERANGE);
	CHECK_EQ(parse_long("partuuid", 127, &e), 0);
	CHECK_EQ(parse_long("partuuid", 128, &e), -ERANGE);
	CHECK_EQ(parse_long("socket", 107, &e), -EINVAL);
	CHECK_EQ(parse_long("socket", 108, &e), -ERANGE);
}

TEST(bad_patches)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `drive_id` at line 1 column 2" },
		{ "{\"drive_id\":\"\"}", -EINVAL, "The ID cannot be empty." },
		{ "{\"drive_id\":\"a\",\"is_read_only\":true}", -EBADMSG,
		  "unknown field `is_read_only`, expected one of `drive_id`, `path_on_host`, "
		  "`rate_limiter` at line 1 column 30" },
		{ "{\"drive_id\":\"a\",\"path_on_host\":1}", -EBADMSG,
		  "invalid type: integer `1`, *" },
		{ "{\"drive_id\":\"a\",\"rate_limiter\":1}", -EBADMSG,
		  "invalid type: integer `1`, expected struct RateLimiterConfig*" },
		{ "[]", -EBADMSG,
		  "invalid type: sequence, expected struct BlockDeviceUpdateConfig*" },
	};

	EXPECT_ALL_BAD(conf_drive_patch_parse, struct conf_drive_patch, bads);
}

static int patch(const char *body, struct conf_drive *d, struct err *e)
{
	static struct conf_drive_patch p;
	int r = conf_drive_patch_parse(body, strlen(body), &p, e);

	return r < 0 ? r : conf_drive_patch_apply(&p, d, e);
}

#define LIMIT(kind, size, refill)                                            \
	"{\"drive_id\":\"a\",\"rate_limiter\":{\"" kind "\":{\"size\":" size \
	",\"refill_time\":" refill "}}}"

TEST(patch)
{
	static struct conf_drive d = { .drive_id = "a", .path_on_host = "/p" };
	struct err e = { 0 };

	CHECK_EQ(patch("{\"drive_id\":\"a\"}", &d, &e), -EINVAL);
	expect_msg(
		"only the id", e.msg,
		"Unable to patch the block device: Device manager error: Running method expected different backend. "
		"Please verify the request arguments.");
	CHECK_EQ(
		patch("{\"drive_id\":\"a\",\"path_on_host\":\"/q\",\"rate_limiter\":null}", &d, &e),
		0);
	CHECK(strcmp(d.path_on_host, "/q") == 0);
	CHECK(!d.has_rate_limiter);
	CHECK_EQ(patch(LIMIT("ops", "5", "6"), &d, &e), 0);
	CHECK_EQ(patch(LIMIT("bandwidth", "7", "8"), &d, &e), 0);
	CHECK(d.has_rate_limiter && d.rate_limiter.has_ops && d.rate_limiter.has_bandwidth);
	CHECK_EQ(d.rate_limiter.ops.size, 5);
	CHECK_EQ(d.rate_limiter.bandwidth.refill_time_ms, 8);
	CHECK_EQ(patch(LIMIT("ops", "0", "6"), &d, &e), 0);
	CHECK(d.has_rate_limiter && !d.rate_limiter.has_ops && d.rate_limiter.has_bandwidth);
	CHECK_EQ(patch(LIMIT("bandwidth", "7", "0"), &d, &e), 0);
	CHECK(!d.has_rate_limiter);
	CHECK(strcmp(d.path_on_host, "/q") == 0);
}

TEST(enabled)
{
	struct conf_rate_limiter r = { .ops = { .size = 1, .refill_time_ms = 1 } };

	CHECK(!conf_rate_limiter_enabled(&r));
	r.has_ops = true;
	CHECK(conf_rate_limiter_enabled(&r));
	r.ops.size = 0;
	CHECK(!conf_rate_limiter_enabled(&r));
	r.has_bandwidth = true;
	r.bandwidth = (struct conf_token_bucket){ .size = 1, .refill_time_ms = 0 };
	CHECK(!conf_rate_limiter_enabled(&r));
	r.bandwidth.refill_time_ms = 1;
	CHECK(conf_rate_limiter_enabled(&r));
}

TEST(bad_entropy)
{
	static const struct bad bads[] = {
		{ "{\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected `rate_limiter` at line 1 column 4" },
		{ "{\"rate_limiter\":7}", -EBADMSG, "invalid type: integer `7`, *" },
		{ "null", -EBADMSG,
		  "invalid type: null, expected struct EntropyDeviceConfig at line 1 column 4" },
	};

	EXPECT_ALL_BAD(conf_entropy_parse, struct conf_entropy, bads);
}

TEST(entropy)
{
	static const struct {
		const char *body, *printed;
	} c[] = {
		{ "{}", "{\"rate_limiter\":null}" },
		{ "{\"rate_limiter\":null}", "{\"rate_limiter\":null}" },
		{ "{\"rate_limiter\":{}}", "{\"rate_limiter\":null}" },
		{ "{\"rate_limiter\":{\"ops\":{\"size\":2,\"refill_time\":3,\"one_time_burst\":0}}}",
		  "{\"rate_limiter\":{\"bandwidth\":null,\"ops\":{\"size\":2,"
		  "\"one_time_burst\":null,\"refill_time\":3}}}" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct conf_entropy n = { 0 };
		char buf[256];
		struct text t = TEXT_ON(buf);
		struct err e = { 0 };

		CHECK_EQ(conf_entropy_parse(c[i].body, strlen(c[i].body), &n, &e), 0);
		conf_entropy_print(&t, &n);
		expect_msg(c[i].body, buf, c[i].printed);
	}
}

TEST(names)
{
	CHECK(strcmp(conf_cache_type_name(CONF_CACHE_WRITEBACK), "Writeback") == 0);
	CHECK(strcmp(conf_io_engine_name(CONF_IO_ENGINE_ASYNC), "Async") == 0);
}
