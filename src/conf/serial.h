/* SPDX-License-Identifier: Apache-2.0 */
/* /serial: where the guest's console goes. In no configuration file and no reply. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/boot_source.h"
#include "conf/rate_limiter.h"

struct conf_serial {
	char serial_out_path[CONF_PATH_MAX];   /* "": standard output, or the socket */
	char socket_path[108];		       /* ours; "": none. As long as sun_path */
	struct conf_token_bucket rate_limiter; /* bytes */
	bool has_rate_limiter;
};

/* The body of a PUT, decoded and checked. On error *ret is undefined. */
must_check int conf_serial_parse(const char *body, size_t len, struct conf_serial *ret,
				 struct err *e);
