/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /vsock: the socket device. */
#include "api/resources.h"

int r_vsock_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_vsock_parse(call->req->body, call->req->len, &out->action->vsock,
				 &out->deprecated, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_VSOCK, r, e);
	return r_submit(out, ACTION_PUT_VSOCK);
}
