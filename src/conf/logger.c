/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/logger.h"

#include <string.h>

#include "conf/decode.h"

static const char *const names[] = { "Off", "Trace", "Debug", "Info", "Warn", "Warning", "Error" };

static const enum log_level levels[] = {
	LOG_OFF, LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_WARN, LOG_ERROR,
};

/* As decoded: a level has two spellings, so its index is not the level yet. */
struct body {
	struct conf_logger logger;
	unsigned level;
};

enum { ROW_PATH, ROW_LEVEL };

static const struct json_field fields[] = {
	[ROW_PATH] = JSON_ROW("log_path", JSON_STRING, body, logger.log_path, .nullable = true),
	[ROW_LEVEL] = JSON_ROW("level", JSON_ENUM, body, level, .nullable = true, JSON_NAMES(names),
			       .any_case = true),
	JSON_ROW("show_level", JSON_BOOL, body, logger.show_level, .nullable = true,
		 JSON_HAS(body, logger.has_show_level)),
	JSON_ROW("show_log_origin", JSON_BOOL, body, logger.show_log_origin, .nullable = true,
		 JSON_HAS(body, logger.has_show_log_origin)),
	JSON_ROW("module", JSON_STRING, body, logger.module, .nullable = true),
};

static const struct json_table table = {
	.name = "struct LoggerConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_logger_decode(struct json_value v, struct conf_logger *ret, struct err *e)
{
	struct body body = { .logger.level = LOG_INFO };
	uint64_t given = 0;
	int r;

	r = json_decode(v, &table, &body, &given, e);
	if (r < 0)
		return r;
	if (given & UINT64_C(1) << ROW_LEVEL)
		body.logger.level = levels[body.level];
	if (given & UINT64_C(1) << ROW_PATH && body.logger.log_path[0] == '\0')
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"Failed to open target file: No such file or directory (os error 2)");
	*ret = body.logger;
	return 0;
}

int conf_logger_parse(const char *body, size_t len, struct conf_logger *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_logger_decode(json_root(doc), ret, e);
}
