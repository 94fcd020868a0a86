/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this layer share: each object's table, and its decoder, which
 * sets the defaults, decodes and checks. The object is undefined after an error.
 */
#pragma once

#include "conf/balloon.h"
#include "conf/config.h"
#include "conf/memory_hotplug.h"
#include "conf/metrics.h"
#include "conf/mmds.h"
#include "conf/pmem.h"
#include "json/json.h"

extern const struct json_table conf_token_bucket_table;
extern const struct json_table conf_rate_limiter_table;

must_check int conf_machine_decode(struct json_value v, struct conf_machine *ret,
				   bool *ret_deprecated, struct err *e);
must_check int conf_cpu_decode(struct json_value v, struct conf_cpu *ret, struct err *e);
must_check int conf_boot_source_decode(struct json_value v, struct conf_boot_source *ret,
				       struct err *e);
must_check int conf_drive_decode(struct json_value v, struct conf_drive *ret, struct err *e);
must_check int conf_entropy_decode(struct json_value v, struct conf_entropy *ret, struct err *e);
must_check int conf_logger_decode(struct json_value v, struct conf_logger *ret, struct err *e);
must_check int conf_net_decode(struct json_value v, struct conf_net *ret, struct err *e);
must_check int conf_balloon_decode(struct json_value v, struct conf_balloon *ret, struct err *e);
must_check int conf_pmem_decode(struct json_value v, struct conf_pmem *ret, struct err *e);
must_check int conf_memory_hotplug_decode(struct json_value v, struct conf_memory_hotplug *ret,
					  struct err *e);
must_check int conf_metrics_decode(struct json_value v, struct conf_metrics *ret, struct err *e);
must_check int conf_vsock_decode(struct json_value v, struct conf_vsock *ret, bool *ret_deprecated,
				 struct err *e);
must_check int conf_mmds_decode(struct json_value v, struct conf_mmds *ret, struct err *e);
