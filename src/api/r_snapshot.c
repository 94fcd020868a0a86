/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /snapshot/create and /snapshot/load: a paused machine to two files, and back. */
#include "api/resources.h"

int r_snapshot_create_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_snapshot_create *create = &out->action->snapshot_create;
	int r = conf_snapshot_create_parse(call->req->body, call->req->len, create, e);

	if (r < 0)
		return r_refused(out, ACTION_SNAPSHOT_CREATE, r, e);
	switch (create->snapshot_type) {
	case CONF_SNAPSHOT_FULL:
		out->timed = "create full snapshot";
		break;
	case CONF_SNAPSHOT_DIFF:
		out->timed = "create diff snapshot";
		break;
	}
	return r_submit(out, ACTION_SNAPSHOT_CREATE);
}

int r_snapshot_load_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_snapshot_load_parse(call->req->body, call->req->len,
					 &out->action->snapshot_load, &out->deprecated, e);

	if (r < 0)
		return r_refused(out, ACTION_SNAPSHOT_LOAD, r, e);
	out->timed = "load snapshot";
	return r_submit(out, ACTION_SNAPSHOT_LOAD);
}
