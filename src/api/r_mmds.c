/* SPDX-License-Identifier: Apache-2.0 */
/* /mmds: what guests can read of themselves; /mmds/config: how. */
#include "api/resources.h"

#include "mmds/doc.h"

enum { ECHO_MAX = 100 }; /* bytes of an unknown path that the answer repeats */

int r_mmds_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct view *view = view_get(call->req->views);

	if (!view->mmds) {
		view_put(view);
		return err_set(e, ERR_STATE, -ENODATA,
			       "MMDS error: The MMDS data store is not initialized.");
	}
	out->view = view;
	out->body = view->mmds;
	return 0;
}

/* The document is made here, so that a long one does not hold the machine's thread up. */
static int submit_document(const struct route_call *call, struct route_out *out,
			   enum action_type type, struct err *e)
{
	int r = mmds_doc_parse(call->req->body, call->req->len, &out->action->mmds, e);

	return r < 0 ? r : r_submit(out, type);
}

int r_mmds_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct route_token tokens[2];
	int len;

	route_split(call->req->target, tokens, ARRAY_SIZE(tokens));
	len = tokens[1].len < ECHO_MAX ? (int)tokens[1].len : ECHO_MAX;
	if (len > 0)
		return err_set(e, ERR_INVALID, -EINVAL, "Unrecognized PUT request path `%.*s`.",
			       len, tokens[1].s);
	return submit_document(call, out, ACTION_PUT_MMDS, e);
}

int r_mmds_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	return submit_document(call, out, ACTION_PATCH_MMDS, e);
}

int r_mmds_config_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	struct conf_mmds *conf = &out->action->mmds_config;
	int r = conf_mmds_parse(call->req->body, call->req->len, conf, e);

	/* V1 goes away, asked for or not (contract, 1.2). */
	out->deprecated = r != -EBADMSG && r != -ENOMEM && conf->version == CONF_MMDS_V1;
	if (r < 0)
		return r_refused(out, ACTION_PUT_MMDS_CONFIG, r, e);
	return r_submit(out, ACTION_PUT_MMDS_CONFIG);
}
