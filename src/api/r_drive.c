/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and PATCH /drives/{id}: a block device. */
#include "api/resources.h"

#include <string.h>

int r_drive_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_drive *drive = &out->action->drive;
	int r = conf_drive_parse(call->req->body, call->req->len, drive, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_DRIVE, r, e);
	if (strcmp(drive->drive_id, call->id) != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The id from the path does not match the id from the body!");
	return r_submit(out, ACTION_PUT_DRIVE);
}

int r_drive_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_drive_patch *patch = &out->action->drive_patch;
	int r = conf_drive_patch_parse(call->req->body, call->req->len, patch, e);

	if (r < 0)
		return r_refused(out, ACTION_PATCH_DRIVE, r, e);
	if (strcmp(patch->drive_id, call->id) != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The id from the path does not match the id from the body!");
	return r_submit(out, ACTION_PATCH_DRIVE);
}
