/* SPDX-License-Identifier: Apache-2.0 */
/* GET /events: what happens to the machine, from now on. */
#include "api/resources.h"

int r_events_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	out->stream = true;
	return 0;
}
