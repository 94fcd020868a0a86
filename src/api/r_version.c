/* SPDX-License-Identifier: Apache-2.0 */
/* GET /version: the API that is spoken. */
#include "api/resources.h"
#include "vmm/vmm.h"

int r_version_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	out->body = "{\"firecracker_version\":\"" VMM_FIRECRACKER_VERSION "\"}";
	return 0;
}
