/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /metrics: the file of the contract's lines. GET: all counters, for Prometheus. */
#include "api/resources.h"
#include "base/stage.h"

enum { MARGIN = 16 << 10 }; /* bytes, for devices that come while we print */

int r_metrics_get(const struct route_call *call, struct route_out *out, struct err *e)
{
	size_t max = metrics_text_max() + STAGE_TEXT_MAX + MARGIN;
	struct view *view = view_create(max);
	struct text t;

	(void)call;
	if (!view)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "Metrics error: out of memory");
	text_init(&t, view->text, max);
	stage_print_text(&t);
	metrics_print_text(&t);
	text_str(&t, "# EOF\n");
	if (!text_ok(&t)) {
		view_put(view);
		return err_set(e, ERR_INTERNAL, -EAGAIN,
			       "Metrics error: the machine has just changed; ask again");
	}
	out->view = view;
	out->body = view->text;
	out->type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
	return 0;
}

int r_metrics_put(const struct route_call *call, struct route_out *out, struct err *e)
{
	int r = conf_metrics_parse(call->req->body, call->req->len, &out->action->metrics, e);

	if (r < 0)
		return r_refused(out, ACTION_PUT_METRICS, r, e);
	return r_submit(out, ACTION_PUT_METRICS);
}
