/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /entropy: the random number device. */
#include "api/resources.h"

int r_entropy_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_entropy_parse(call->req->body, call->req->len, &out->action->entropy, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_ENTROPY, r, e);
	return r_submit(out, ACTION_PUT_ENTROPY);
}
