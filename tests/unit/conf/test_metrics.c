/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/metrics.h"

#include "conf/expect.h"

static struct conf_metrics m;
static struct err err;

static int parse(const char *body)
{
	err = (struct err){ 0 };
	return conf_metrics_parse(body, strlen(body), &m, &err);
}

TEST(what_is_not_given)
{
	CHECK_EQ(parse("{\"metrics_path\":\"/m\",\"later\":[1]}"), 0); /* not strict */
	CHECK_EQ(parse("{\"metrics_path\":\"/m\",\"properties\":null}"), 0);
	CHECK(strcmp(m.metrics_path, "/m") == 0 && !m.emit_id && m.properties[0] == '\0');
}

TEST(properties_are_kept_as_they_will_be_printed)
{
	CHECK_EQ(parse("{\"metrics_path\":\"/m\",\"emit_id\":true,"
		       "\"properties\":{ \"a\" : \"1\", \"b\\\"\":\"\\n\\u00e9\"}}"),
		 0);
	CHECK(m.emit_id);
	expect_msg("properties", m.properties, "{\"a\":\"1\",\"b\\\"\":\"\\n\xc3\xa9\"}");
	CHECK_EQ(parse("{\"metrics_path\":\"/m\",\"properties\":{}}"), 0);
	expect_msg("properties", m.properties, "{}");
}

/* `n' bytes of JSON: {"a":"x...","b":"x..."}, no value longer than what one may have. */
static int parse_long(size_t n)
{
	char body[METRICS_PROPERTIES_MAX + 128];
	size_t len = (size_t)sprintf(body, "{\"metrics_path\":\"/m\",\"properties\":{");
	size_t rest = n - 2;

	for (char key = 'a'; rest > 0; key++) {
		size_t part = rest > 1000 ? 1000 : rest;
		size_t value;

		if (rest > part && rest - part < 10) /* room for the last one's frame */
			part -= 10;
		value = part - 6 - (key > 'a');
		len += (size_t)sprintf(body + len, "%s\"%c\":\"", key > 'a' ? "," : "", key);
		memset(body + len, 'x', value);
		len += value;
		body[len++] = '"';
		rest -= part;
	}
	strcpy(body + len, "}}");
	return parse(body);
}

TEST(properties_have_a_limit)
{
	CHECK_EQ(parse_long(METRICS_PROPERTIES_MAX), 0);
	CHECK_EQ(strlen(m.properties), METRICS_PROPERTIES_MAX);
	CHECK_EQ(parse_long(METRICS_PROPERTIES_MAX + 1), -ERANGE);
	expect_msg("long", err.msg, "The properties are too long: their JSON may have 4096 bytes");
}

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `metrics_path` at line 1 column 2" },
		{ "{\"metrics_path\":null}", -EBADMSG, "invalid type: null, *" },
		{ "{\"metrics_path\":\"\"}", -ENOENT,
		  "Cannot initialize the metrics system due to bad user input: No such file or "
		  "directory (os error 2)" },
		{ "{\"metrics_path\":\"m\",\"emit_id\":null}", -EBADMSG, "invalid type: null, *" },
		{ "{\"metrics_path\":\"m\",\"emit_id\":1}", -EBADMSG,
		  "invalid type: integer `1`*" },
		{ "{\"metrics_path\":\"m\",\"properties\":\"a\"}", -EBADMSG,
		  "invalid type of `properties`, expected a map of strings" },
		{ "{\"metrics_path\":\"m\",\"properties\":{\"a\":null}}", -EBADMSG,
		  "invalid type: null, *" },
		{ "{\"metrics_path\":\"m\",\"properties\":{\"a\":{}}}", -EBADMSG,
		  "invalid type: map, *" },
		{ "{\"metrics_path\":\"m\",\"properties\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}}",
		  -EBADMSG, "duplicate field `a`" },
	};

	EXPECT_ALL_BAD(conf_metrics_parse, struct conf_metrics, bads);
}
