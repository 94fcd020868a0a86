/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /serial: where the console of the guest goes. */
#include "api/resources.h"

int r_serial_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_serial_parse(call->req->body, call->req->len, &out->action->serial, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_SERIAL, r, e);
	return r_submit(out, ACTION_PUT_SERIAL);
}
