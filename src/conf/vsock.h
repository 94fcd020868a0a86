/* SPDX-License-Identifier: Apache-2.0 */
/* /vsock: the socket device. Whether its socket can be made is for the machine. */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/id.h"

struct conf_vsock {
	uint32_t guest_cid;
	char uds_path[108];		/* as long as sun_path */
	char vsock_id[CONF_ID_MAX + 1]; /* deprecated: taken, and without effect */
	bool has_vsock_id;
};

/*
 * The body of a PUT, decoded and checked. Messages of the check have no prefix. On
 * error *ret is undefined; *ret_deprecated says in any case what is known by then.
 */
must_check int conf_vsock_parse(const char *body, size_t len, struct conf_vsock *ret,
				bool *ret_deprecated, struct err *e);

/* Without vsock_id, as the contract has it. */
void conf_vsock_print(struct text *t, const struct conf_vsock *c);
