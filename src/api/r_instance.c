/* SPDX-License-Identifier: Apache-2.0 */
/* GET /: who this is and how it is. */
#include "api/resources.h"

int r_instance_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)e;
	out->view = view_get(call->req->views);
	out->body = out->view->instance;
	return 0;
}
