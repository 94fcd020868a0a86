/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /actions: start, key press, flush. */
#include "api/resources.h"
#include "conf/action.h"

static const enum action_type types[] = {
	[CONF_ACTION_FLUSH_METRICS] = ACTION_FLUSH_METRICS,
	[CONF_ACTION_INSTANCE_START] = ACTION_INSTANCE_START,
	[CONF_ACTION_SEND_CTRL_ALT_DEL] = ACTION_SEND_CTRL_ALT_DEL,
};

int r_actions_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_action action;
	int r = conf_action_parse(call->req->body, call->req->len, &action, e);

	if (r < 0)
		return r;
	return r_submit(out, types[action.action_type]);
}
