/* SPDX-License-Identifier: Apache-2.0 */
/* The small objects: boot source, serial, logger, action, vm, ids. */
#include "conf/action.h"
#include "conf/boot_source.h"
#include "conf/id.h"
#include "conf/logger.h"
#include "conf/serial.h"
#include "conf/vm.h"
#include "expect.h"

TEST(bad_boot_sources)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `kernel_image_path` at line 1 column 2" },
		{ "{\"kernel_image_path\":null}", -EBADMSG,
		  "invalid type: null, expected a string*" },
		{ "{\"kernel_image_path\":1}", -EBADMSG, "invalid type: integer `1`, *" },
		{ "{\"kernel_image_path\":\"\"}", -EINVAL,
		  "The kernel file cannot be opened: No such file or directory (os error 2)" },
		{ "{\"kernel_image_path\":\"/k\",\"initrd_path\":\"\"}", -EINVAL,
		  "The initrd file cannot be opened due to invalid path or invalid permissions. "
		  "No such file or directory (os error 2)" },
		{ "{\"kernel_image_path\":\"/k\",\"initrd_path\":{}}", -EBADMSG,
		  "invalid type: map, expected a string at line 1 column 40" },
		{ "{\"kernel_image_path\":\"/k\",\"boot_args\":7}", -EBADMSG, "invalid type: *" },
		{ "{\"kernel_image_path\":\"/k\",\"boot_args\":\"a\\tb\"}", -EINVAL,
		  "The kernel command line is invalid: String contains a non-printable ASCII "
		  "character." },
		{ "{\"kernel_image_path\":\"/k\",\"boot_args\":\"\\u007f\"}", -EINVAL,
		  "The kernel command line is invalid: *" },
		{ "{\"kernel_image_path\":\"/k\",\"boot_args\":\"\\u00e9\"}", -EINVAL,
		  "The kernel command line is invalid: *" },
		{ "{\"kernel\":\"/k\"}", -EBADMSG,
		  "unknown field `kernel`, expected one of `kernel_image_path`, `initrd_path`, "
		  "`boot_args` at line 1 column 9" },
	};

	EXPECT_ALL_BAD(conf_boot_source_parse, struct conf_boot_source, bads);
}

static int boot_with_long(const char *key, unsigned n, struct err *e)
{
	static struct conf_boot_source b;
	static char body[6000];
	const char *kernel = strcmp(key, "kernel_image_path") == 0
				     ? ""
				     : "\"kernel_image_path\":\"/k\",";
	int at = snprintf(body, sizeof(body), "{%s\"%s\":\"", kernel, key);

	memset(body + at, '~', n);
	memcpy(body + at + n, "\"}", 3);
	return conf_boot_source_parse(body, strlen(body), &b, e);
}

TEST(limits_of_boot_source)
{
	struct err e = { 0 };

	CHECK_EQ(boot_with_long("boot_args", 2047, &e), 0);
	CHECK_EQ(boot_with_long("boot_args", 2048, &e), -ERANGE);
	expect_msg("boot_args", e.msg,
		   "The kernel command line is invalid: Inserting string would make command line "
		   "too long.");
	CHECK_EQ(boot_with_long("kernel_image_path", 4095, &e), 0);
	CHECK_EQ(boot_with_long("kernel_image_path", 4096, &e), -ERANGE);
	CHECK_EQ(boot_with_long("initrd_path", 4095, &e), 0);
	CHECK_EQ(boot_with_long("initrd_path", 4096, &e), -ERANGE);
}

TEST(boot_source_prints)
{
	static const struct {
		const char *body, *printed;
	} c[] = {
		{ "{\"kernel_image_path\":\"/k\",\"initrd_path\":null,\"boot_args\":null}",
		  "{\"kernel_image_path\":\"/k\",\"initrd_path\":null,\"boot_args\":null}" },
		{ "{\"boot_args\":\"\",\"kernel_image_path\":\"/k\"}",
		  "{\"kernel_image_path\":\"/k\",\"initrd_path\":null,\"boot_args\":\"\"}" },
		{ "{\"boot_args\":\" a=\\\"b c\\\" -- x~\",\"kernel_image_path\":\"k\","
		  "\"initrd_path\":\"i\"}",
		  "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\",\"boot_args\":"
		  "\" a=\\\"b c\\\" -- x~\"}" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		static struct conf_boot_source b;
		char buf[256];
		struct text t = TEXT_ON(buf);
		struct err e = { 0 };

		CHECK_EQ(conf_boot_source_parse(c[i].body, strlen(c[i].body), &b, &e), 0);
		CHECK_EQ(b.has_boot_args, i > 0);
		conf_boot_source_print(&t, &b);
		expect_msg(c[i].body, buf, c[i].printed);
	}
}

TEST(bad_serials)
{
	static const struct bad bads[] = {
		{ "{\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected `serial_out_path` or `rate_limiter` at line 1 "
		  "column 4" },
		{ "{\"serial_out_path\":\"\"}", -EINVAL, "The serial_out_path is empty*" },
		{ "{\"serial_out_path\":1}", -EBADMSG, "invalid type: integer `1`, *" },
		{ "{\"rate_limiter\":1}", -EBADMSG,
		  "invalid type: integer `1`, expected struct TokenBucketConfig*" },
		{ "{\"rate_limiter\":{\"bandwidth\":{}}}", -EBADMSG, "missing field `size`*" },
		{ "{\"rate_limiter\":{\"size\":1,\"size\":1}}", -EBADMSG,
		  "duplicate field `size`*" },
	};

	EXPECT_ALL_BAD(conf_serial_parse, struct conf_serial, bads);
}

TEST(serial)
{
	static const char body[] = "{\"serial_out_path\":\"/o\",\"rate_limiter\":{\"size\":1,"
				   "\"refill_time\":0,\"anything\":true}}";
	static struct conf_serial s;
	struct err e = { 0 };

	CHECK_EQ(conf_serial_parse(body, strlen(body), &s, &e), 0);
	CHECK(strcmp(s.serial_out_path, "/o") == 0);
	CHECK(s.has_rate_limiter && !conf_token_bucket_enabled(&s.rate_limiter));
	CHECK_EQ(conf_serial_parse("{}", 2, &s, &e), 0);
	CHECK(s.serial_out_path[0] == '\0' && !s.has_rate_limiter);
}

TEST(bad_loggers)
{
	static const struct bad bads[] = {
		{ "{\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected one of `log_path`, `level`, `show_level`, "
		  "`show_log_origin`, `module` at line 1 column 4" },
		{ "{\"level\":\"Loud\"}", -EBADMSG,
		  "unknown variant `Loud`, expected one of `Off`, `Trace`, `Debug`, `Info`, `Warn`, "
		  "`Warning`, `Error` at line 1 column 15" },
		{ "{\"level\":3}", -EBADMSG, "expected value at line 1 column 10" },
		{ "{\"log_path\":\"\"}", -EINVAL, "Failed to open target file: *" },
		{ "{\"log_path\":[]}", -EBADMSG, "invalid type: sequence, *" },
		{ "{\"show_level\":\"true\"}", -EBADMSG, "invalid type: string \"true\", *" },
		{ "{\"show_log_origin\":0}", -EBADMSG, "invalid type: integer `0`, *" },
		{ "{\"module\":0}", -EBADMSG, "invalid type: integer `0`, *" },
	};

	EXPECT_ALL_BAD(conf_logger_parse, struct conf_logger, bads);
}

TEST(logger_levels)
{
	static const struct {
		const char *body;
		enum log_level level;
	} c[] = {
		{ "{}", LOG_INFO },
		{ "{\"level\":null,\"log_path\":null,\"show_level\":null,\"show_log_origin\":null,"
		  "\"module\":null}",
		  LOG_INFO },
		{ "{\"level\":\"Off\"}", LOG_OFF },
		{ "{\"level\":\"TRACE\"}", LOG_TRACE },
		{ "{\"level\":\"debug\"}", LOG_DEBUG },
		{ "{\"level\":\"Info\"}", LOG_INFO },
		{ "{\"level\":\"Warn\"}", LOG_WARN },
		{ "{\"level\":\"wARNING\"}", LOG_WARN },
		{ "{\"level\":\"Error\"}", LOG_ERROR },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		static struct conf_logger l;
		struct err e = { 0 };

		CHECK_EQ(conf_logger_parse(c[i].body, strlen(c[i].body), &l, &e), 0);
		CHECK_EQ(l.level, c[i].level);
		CHECK(!l.has_show_level && !l.has_show_log_origin && !l.log_path[0] &&
		      !l.module[0]);
	}
}

TEST(logger)
{
	static const char body[] = "{\"log_path\":\"/l\",\"show_level\":false,"
				   "\"show_log_origin\":true,\"module\":\"m\"}";
	static struct conf_logger l;
	struct err e = { 0 };

	CHECK_EQ(conf_logger_parse(body, strlen(body), &l, &e), 0);
	CHECK(l.has_show_level && !l.show_level && l.has_show_log_origin && l.show_log_origin);
	CHECK(strcmp(l.log_path, "/l") == 0 && strcmp(l.module, "m") == 0);
}

TEST(bad_actions_and_states)
{
	static const struct bad actions[] = {
		{ "{}", -EBADMSG, "missing field `action_type` at line 1 column 2" },
		{ "{\"action_type\":\"foo\"}", -EBADMSG,
		  "unknown variant `foo`, expected one of `FlushMetrics`, `InstanceStart`, "
		  "`SendCtrlAltDel` at line 1 column 20" },
		{ "{\"action_type\":null}", -EBADMSG, "expected value at line 1 column 16" },
		{ "{\"action\":\"foo\"}", -EBADMSG,
		  "unknown field `action`, expected `action_type` at line 1 column 9" },
		{ "{\"action_type\":\"InstanceStart\",\"payload\":1}", -EBADMSG,
		  "unknown field `payload`, *" },
	};
	static const struct bad states[] = {
		{ "{}", -EBADMSG, "missing field `state` at line 1 column 2" },
		{ "{\"state\":\"Stopped\"}", -EBADMSG,
		  "unknown variant `Stopped`, expected `Paused` or `Resumed` at line 1 column 18" },
		{ "{\"state\":true}", -EBADMSG, "expected value at line 1 column 10" },
		{ "{\"State\":\"Paused\"}", -EBADMSG, "unknown field `State`, expected `state`*" },
	};

	EXPECT_ALL_BAD(conf_action_parse, struct conf_action, actions);
	EXPECT_ALL_BAD(conf_vm_parse, struct conf_vm, states);
}

TEST(actions_and_states)
{
	static const char *const names[] = { "FlushMetrics", "InstanceStart", "SendCtrlAltDel" };
	struct conf_vm v = { .state = CONF_VM_PAUSED };
	struct err e = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		struct conf_action a = { 0 };
		char body[64];
		int n = snprintf(body, sizeof(body), "{\"action_type\":\"%s\"}", names[i]);

		CHECK_EQ(conf_action_parse(body, (size_t)n, &a, &e), 0);
		CHECK_EQ(a.action_type, i);
	}
	CHECK_EQ(conf_vm_parse("{\"state\":\"Resumed\"}", 19, &v, &e), 0);
	CHECK_EQ(v.state, CONF_VM_RESUMED);
	CHECK_EQ(conf_vm_parse("{\"state\":\"Paused\"}", 18, &v, &e), 0);
	CHECK_EQ(v.state, CONF_VM_PAUSED);
}

TEST(ids)
{
	char longest[CONF_ID_MAX + 2];
	struct err e = { 0 };

	memset(longest, 'a', sizeof(longest) - 1);
	longest[CONF_ID_MAX] = '\0';
	CHECK_EQ(conf_id_check("aZ09_", &e), 0);
	CHECK_EQ(conf_id_check(longest, &e), 0);
	CHECK_EQ(conf_id_check("", &e), -EINVAL);
	expect_msg("empty", e.msg, "The ID cannot be empty.");
	CHECK_EQ(conf_id_check("a-b", &e), -EINVAL);
	expect_msg("hyphen", e.msg,
		   "API Resource IDs can only contain alphanumeric characters and underscores.");
	CHECK_EQ(conf_id_check("\xc3\xa9", &e), -EINVAL);
	CHECK_EQ(conf_id_check("a b", &e), -EINVAL);

	CHECK_EQ(conf_instance_id_check("a-Z-09", &e), 0);
	CHECK_EQ(conf_instance_id_check(longest, &e), 0);
	CHECK_EQ(conf_instance_id_check("", &e), -EINVAL);
	CHECK_EQ(conf_instance_id_check("a_b", &e), -EINVAL);
	CHECK_EQ(conf_instance_id_check("a/b", &e), -EINVAL);
	longest[CONF_ID_MAX] = 'a';
	longest[CONF_ID_MAX + 1] = '\0';
	CHECK_EQ(conf_id_check(longest, &e), -EINVAL);
	expect_msg("long", e.msg, "API Resource IDs can have at most 64 characters.");
	CHECK_EQ(conf_instance_id_check(longest, &e), -EINVAL);
}
