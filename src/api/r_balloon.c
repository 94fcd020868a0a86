/* SPDX-License-Identifier: Apache-2.0 */
/* /balloon, its statistics and its hinting: requests about a device that there is not. */
#include "api/resources.h"

#include <string.h>

enum { ECHO_MAX = 100 }; /* bytes of an unknown path that the answer repeats */

/* What stands behind `/balloon/' in the path. */
static const char *below(const struct route_call *call)
{
	struct route_token first;
	const char *at;

	route_split(call->req->target, &first, 1);
	at = first.s + first.len;
	return at + strspn(at, "/");
}

int r_balloon_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	const char *rest = below(call);

	(void)out;
	if (rest[0] != '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "Unrecognized GET request path `%.*s`.",
			       ECHO_MAX, rest);
	return err_set(e, ERR_INVALID, -ENODEV, "Balloon config error: No balloon device found.");
}

int r_balloon_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_balloon_parse(call->req->body, call->req->len, &out->action->balloon, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_BALLOON, r, e);
	return r_submit(out, ACTION_PUT_BALLOON);
}

int r_balloon_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	uint32_t amount_mib;
	int r = conf_balloon_amount_parse(call->req->body, call->req->len, &amount_mib, e);

	if (r < 0)
		return r_refused(out, ACTION_BALLOON_PATCH, r, e);
	return r_submit(out, ACTION_BALLOON_PATCH);
}

int r_balloon_statistics_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	return r_submit(out, ACTION_BALLOON_REQUEST);
}

int r_balloon_statistics_patch(const struct route_call *call, struct route_out *out, struct err *e)
{
	uint16_t interval_s;
	int r = conf_balloon_interval_parse(call->req->body, call->req->len, &interval_s, e);

	if (r < 0)
		return r_refused(out, ACTION_BALLOON_PATCH, r, e);
	return r_submit(out, ACTION_BALLOON_PATCH);
}

int r_balloon_hinting_start(const struct route_call *call, struct route_out *out, struct err *e)
{
	bool acknowledge;
	int r = conf_balloon_hinting_parse(call->req->body, call->req->len, &acknowledge, e);

	return r < 0 ? r : r_submit(out, ACTION_BALLOON_PATCH);
}

int r_balloon_hinting(const struct route_call *call, struct route_out *out, struct err *e)
{
	(void)call;
	(void)e;
	return r_submit(out, ACTION_BALLOON_REQUEST);
}

int r_balloon_hinting_unknown(const struct route_call *call, struct route_out *out, struct err *e)
{
	const char *rest = below(call) + strlen("hinting");

	(void)out;
	return err_set(e, ERR_INVALID, -EINVAL, "Unrecognized %s request path `/hinting/%.*s`.",
		       route_method_name(call->req->method), ECHO_MAX, rest + strspn(rest, "/"));
}
