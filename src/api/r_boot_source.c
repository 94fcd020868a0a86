/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /boot-source: kernel, initrd and command line. */
#include "api/resources.h"

int r_boot_source_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_boot_source_parse(call->req->body, call->req->len, &out->action->boot_source,
				       e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_BOOT_SOURCE, r, e);
	return r_submit(out, ACTION_PUT_BOOT_SOURCE);
}
