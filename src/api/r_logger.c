/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /logger: where the log goes, and how much of it. */
#include "api/resources.h"

int r_logger_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_logger_parse(call->req->body, call->req->len, &out->action->logger, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_LOGGER, r, e);
	return r_submit(out, ACTION_PUT_LOGGER);
}
