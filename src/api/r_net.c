/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and PATCH /network-interfaces/{id}: a network device. */
#include "api/resources.h"

#include <string.h>

/* Both ids, as the contract has it (1.2): unlike those of a drive. */
static int check_id(const struct route_call *call, const char *id, struct err *e)
{
	if (strcmp(id, call->id) == 0)
		return 0;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "The id from the path [%s] does not match the id from the body [%s]!",
		       call->id, id);
}

int r_net_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_net *net = &out->action->net;
	int r = conf_net_parse(call->req->body, call->req->len, net, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_NET, r, e);
	r = check_id(call, net->iface_id, e);
	return r < 0 ? r : r_submit(out, ACTION_PUT_NET);
}

int r_net_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_net_patch *patch = &out->action->net_patch;
	int r = conf_net_patch_parse(call->req->body, call->req->len, patch, e);

	if (r < 0)
		return r_refused(out, ACTION_PATCH_NET, r, e);
	r = check_id(call, patch->iface_id, e);
	return r < 0 ? r : r_submit(out, ACTION_PATCH_NET);
}
