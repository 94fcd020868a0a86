/* SPDX-License-Identifier: Apache-2.0 */
/* /actions. */
#pragma once

#include "base/cc.h"
#include "base/err.h"

enum conf_action_type {
	CONF_ACTION_FLUSH_METRICS,
	CONF_ACTION_INSTANCE_START,
	CONF_ACTION_SEND_CTRL_ALT_DEL,
};

struct conf_action {
	enum conf_action_type action_type;
};

/* The body of a PUT, decoded. On error *ret is undefined. */
must_check int conf_action_parse(const char *body, size_t len, struct conf_action *ret,
				 struct err *e);
