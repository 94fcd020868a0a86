/* SPDX-License-Identifier: Apache-2.0 */
/* /hotplug/memory, and DELETE of a device: what changes the machine while it runs. */
#include "api/resources.h"

int r_hotplug_memory_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	return r_submit(out, ACTION_MEMORY_HOTPLUG_REQUEST);
}

int r_hotplug_memory_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_memory_hotplug_parse(call->req->body, call->req->len,
					  &out->action->memory_hotplug, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_MEMORY_HOTPLUG, r, e);
	return r_submit(out, ACTION_PUT_MEMORY_HOTPLUG);
}

int r_hotplug_memory_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	uint32_t size_mib;
	int r = conf_memory_hotplug_size_parse(call->req->body, call->req->len, &size_mib, e);

	if (r < 0)
		return r_refused(out, ACTION_MEMORY_HOTPLUG_REQUEST, r, e);
	return r_submit(out, ACTION_MEMORY_HOTPLUG_REQUEST);
}

int r_unplug(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	return r_submit(out, ACTION_UNPLUG);
}
