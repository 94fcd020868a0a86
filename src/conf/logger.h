/* SPDX-License-Identifier: Apache-2.0 */
/* /logger. A level that is not given is Info again; what else is not given stays. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/boot_source.h"

struct conf_logger {
	char log_path[CONF_PATH_MAX]; /* "": not given */
	enum log_level level;
	bool show_level;
	bool has_show_level;
	bool show_log_origin;
	bool has_show_log_origin;
	char module[256]; /* "": not given */
};

/* The body of a PUT, decoded and checked. On error *ret is undefined. */
must_check int conf_logger_parse(const char *body, size_t len, struct conf_logger *ret,
				 struct err *e);
