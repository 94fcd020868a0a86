/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /cpu-config: a custom CPU template. */
#include "api/resources.h"

int r_cpu_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_cpu_parse(call->req->body, call->req->len, &out->action->cpu, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_CPU_CONFIG, r, e);
	return r_submit(out, ACTION_PUT_CPU_CONFIG);
}
