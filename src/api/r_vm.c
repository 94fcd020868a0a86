/* SPDX-License-Identifier: Apache-2.0 */
/* /vm: pause and resume; /vm/config: everything that is configured. */
#include "api/resources.h"
#include "conf/vm.h"

int r_vm_config_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)e;
	out->view = view_get(call->req->views);
	out->body = out->view->vm_config;
	return 0;
}

int r_vm_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_vm vm;
	int r = conf_vm_parse(call->req->body, call->req->len, &vm, e);

	if (r < 0)
		return r;
	switch (vm.state) {
	case CONF_VM_PAUSED:
		out->timed = "pause vm";
		return r_submit(out, ACTION_PAUSE);
	case CONF_VM_RESUMED:
		out->timed = "resume vm";
		return r_submit(out, ACTION_RESUME);
	}
	return err_set(e, ERR_INTERNAL, -EINVAL, "PATCH /vm: unknown state %d", (int)vm.state);
}
