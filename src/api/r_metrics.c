/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /metrics: the file of the contract's lines. */
#include "api/resources.h"

int r_metrics_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_metrics_parse(call->req->body, call->req->len, &out->action->metrics, e);

	if (r < 0)
		return r_parsed(r, "Metrics error", e);
	return r_submit(out, ACTION_PUT_METRICS);
}
