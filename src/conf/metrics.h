/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: where lines of metrics go, and what each of them carries. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/metrics.h"
#include "conf/boot_source.h"

struct conf_metrics {
	char metrics_path[CONF_PATH_MAX];
	bool emit_id;
	char properties[METRICS_PROPERTIES_MAX + 1]; /* a JSON object of strings; "": none */
};

/* The body of a PUT, decoded and checked. On error *ret is undefined. */
must_check int conf_metrics_parse(const char *body, size_t len, struct conf_metrics *ret,
				  struct err *e);
