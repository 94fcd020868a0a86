/* SPDX-License-Identifier: Apache-2.0 */
/* /machine-config: the size of the virtual machine. */
#include "api/resources.h"

int r_machine_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)e;
	out->view = view_get(call->req->views);
	out->body = out->view->machine_config;
	return 0;
}

int r_machine_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_machine_put(call->req->body, call->req->len, &out->action->machine,
				 &out->deprecated, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_MACHINE_CONFIG, r, e);
	return r_submit(out, ACTION_PUT_MACHINE_CONFIG);
}

int r_machine_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_machine_patch_parse(call->req->body, call->req->len,
					 &out->action->machine_patch, &out->deprecated, e);

	if (r < 0)
		return r_refused(out, ACTION_PATCH_MACHINE_CONFIG, r, e);
	return r_submit(out, ACTION_PATCH_MACHINE_CONFIG);
}
