/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and PATCH /pmem/{id}: a file as the guest's memory. */
#include "api/resources.h"

#include <string.h>

static int check_id(const struct route_call *call, const char *id, struct err *e)
{
	if (strcmp(id, call->id) != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The id from the path does not match the id from the body!");
	return 0;
}

int r_pmem_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_pmem *pmem = &out->action->pmem;
	int r = conf_pmem_parse(call->req->body, call->req->len, pmem, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_PMEM, r, e);
	r = check_id(call, pmem->id, e);
	return r < 0 ? r : r_submit(out, ACTION_PUT_PMEM);
}

int r_pmem_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_pmem_patch patch;
	int r = conf_pmem_patch_parse(call->req->body, call->req->len, &patch, e);

	if (r < 0)
		return r_refused(out, ACTION_PMEM_PATCH, r, e);
	r = check_id(call, patch.id, e);
	return r < 0 ? r : r_submit(out, ACTION_PMEM_PATCH);
}
