/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include <string.h>

#include "api/resources.h"

/* How much of an unknown path is repeated in the answer. */
enum { ECHO_MAX = 100 };

/*
 * A path is literal, but for "{id}": a name, handed to the handler. What a request has
 * behind the parts of the path is ignored, so the longer of two paths stands first.
 */
static const struct route {
	enum route_method method;
	const char *path;
	route_fn serve;
} routes[] = {
	{ ROUTE_GET, "", r_instance_get },
	{ ROUTE_GET, "balloon/hinting/status", r_balloon_hinting },
	{ ROUTE_GET, "balloon/hinting", r_balloon_hinting_unknown },
	{ ROUTE_GET, "balloon/statistics", r_balloon_statistics_get },
	{ ROUTE_GET, "balloon", r_balloon_get },
	{ ROUTE_GET, "hotplug/memory", r_hotplug_memory_get },
	{ ROUTE_GET, "events", r_events_get },
	{ ROUTE_GET, "machine-config", r_machine_get },
	{ ROUTE_GET, "metrics", r_metrics_get },
	{ ROUTE_GET, "mmds", r_mmds_get },
	{ ROUTE_GET, "version", r_version_get },
	{ ROUTE_GET, "vm/config", r_vm_config_get },
	{ ROUTE_PUT, "actions", r_actions_put },
	{ ROUTE_PUT, "balloon", r_balloon_put },
	{ ROUTE_PUT, "boot-source", r_boot_source_put },
	{ ROUTE_PUT, "cpu-config", r_cpu_put },
	{ ROUTE_PUT, "drives/{id}", r_drive_put },
	{ ROUTE_PUT, "entropy", r_entropy_put },
	{ ROUTE_PUT, "hotplug/memory", r_hotplug_memory_put },
	{ ROUTE_PUT, "logger", r_logger_put },
	{ ROUTE_PUT, "metrics", r_metrics_put },
	{ ROUTE_PUT, "machine-config", r_machine_put },
	{ ROUTE_PUT, "network-interfaces/{id}", r_net_put },
	{ ROUTE_PUT, "mmds/config", r_mmds_config_put },
	{ ROUTE_PUT, "mmds", r_mmds_put },
	{ ROUTE_PUT, "pmem/{id}", r_pmem_put },
	{ ROUTE_PUT, "serial", r_serial_put },
	{ ROUTE_PUT, "snapshot/create", r_snapshot_create_put },
	{ ROUTE_PUT, "snapshot/load", r_snapshot_load_put },
	{ ROUTE_PUT, "vsock", r_vsock_put },
	{ ROUTE_PATCH, "balloon/hinting/start", r_balloon_hinting_start },
	{ ROUTE_PATCH, "balloon/hinting/stop", r_balloon_hinting },
	{ ROUTE_PATCH, "balloon/hinting", r_balloon_hinting_unknown },
	{ ROUTE_PATCH, "balloon/statistics", r_balloon_statistics_patch },
	{ ROUTE_PATCH, "balloon", r_balloon_patch },
	{ ROUTE_PATCH, "drives/{id}", r_drive_patch },
	{ ROUTE_PATCH, "hotplug/memory", r_hotplug_memory_patch },
	{ ROUTE_PATCH, "machine-config", r_machine_patch },
	{ ROUTE_PATCH, "mmds", r_mmds_patch },
	{ ROUTE_PATCH, "network-interfaces/{id}", r_net_patch },
	{ ROUTE_PATCH, "pmem/{id}", r_pmem_patch },
	{ ROUTE_PATCH, "vm", r_vm_patch },
	{ ROUTE_DELETE, "drives/{id}", r_unplug },
	{ ROUTE_DELETE, "network-interfaces/{id}", r_unplug },
	{ ROUTE_DELETE, "pmem/{id}", r_unplug },
};

static const char *const method_names[] = {
	[ROUTE_GET] = "GET",
	[ROUTE_PUT] = "PUT",
	[ROUTE_PATCH] = "PATCH",
	[ROUTE_DELETE] = "DELETE",
};

int route_method_parse(const char *name, enum route_method *ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(method_names); i++) {
		if (strcmp(name, method_names[i]) == 0) {
			*ret = (enum route_method)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *route_method_name(enum route_method method)
{
	return method_names[method];
}

bool route_token_is(struct route_token token, const char *text)
{
	return token.len == strlen(text) && memcmp(token.s, text, token.len) == 0;
}

/* The path of "http://host/path" as well; NULL when there is none. */
static const char *path_of(const char *target)
{
	static const char scheme[] = "http://";

	if (strncmp(target, scheme, sizeof(scheme) - 1) == 0)
		return strchr(target + sizeof(scheme) - 1, '/');
	return target[0] == '/' ? target : NULL;
}

void route_split(const char *target, struct route_token *tokens, unsigned n)
{
	const char *path = path_of(target);
	const char *at = path ? path : target;

	at += strspn(at, "/");

	for (unsigned i = 0; i < n; i++) {
		tokens[i] = (struct route_token){ .s = at, .len = strcspn(at, "/") };
		at += tokens[i].len;
		at += *at == '/';
	}
}

/* The two requests that are a PATCH without a body. */
static bool takes_no_body(enum route_method method, const struct route_token *tokens)
{
	return method == ROUTE_PATCH && route_token_is(tokens[0], "balloon") &&
	       route_token_is(tokens[1], "hinting");
}

static int check_body(const struct route_req *req, struct err *e)
{
	bool has_body = req->len > 0;

	switch (req->method) {
	case ROUTE_GET:
		if (has_body)
			return err_set(e, ERR_INVALID, -EINVAL, "GET request cannot have a body.");
		break;
	case ROUTE_PUT:
		if (!has_body)
			return err_set(e, ERR_INVALID, -EINVAL, "Empty PUT request.");
		break;
	case ROUTE_PATCH:
		if (!has_body)
			return err_set(e, ERR_INVALID, -EINVAL, "Empty PATCH request.");
		break;
	case ROUTE_DELETE:
		if (has_body)
			return err_set(e, ERR_INVALID, -EINVAL, "Empty Delete request.");
		break;
	}
	return 0;
}

static int echo_len(struct route_token token)
{
	return token.len < ECHO_MAX ? (int)token.len : ECHO_MAX;
}

static int refuse_snapshot(struct route_token operation, struct err *e)
{
	if (operation.len == 0)
		return err_set(e, ERR_INVALID, -EINVAL, "Missing snapshot operation type.");
	return err_set(e, ERR_INVALID, -EINVAL,
		       "Invalid request method and/or path: PUT /snapshot/%.*s.",
		       echo_len(operation), operation.s);
}

static int refuse_path(const struct route_req *req, struct route_token first, struct err *e)
{
	return err_set(e, ERR_INVALID, -EINVAL, "Invalid request method and/or path: %s %.*s.",
		       method_names[req->method], echo_len(first), first.s);
}

static int take_id(struct route_token token, struct route_call *call, struct err *e)
{
	/* One more than an id may have, so that the check sees that it is too long. */
	size_t len = token.len < sizeof(call->id) ? token.len : sizeof(call->id) - 1;

	memcpy(call->id, token.s, len);
	call->id[len] = '\0';
	return conf_id_check(call->id, e);
}

static struct route_token path_token(const char **at)
{
	struct route_token token = { .s = *at, .len = strcspn(*at, "/") };

	*at += token.len;
	*at += **at == '/';
	return token;
}

/* Whether the tokens begin with the path; *ret_id is the one that is a name. */
static bool matches(const char *path, const struct route_token *tokens, struct route_token *ret_id)
{
	const char *at = path;

	for (unsigned i = 0; i < ROUTE_DEPTH && (i == 0 || *at); i++) {
		struct route_token want = path_token(&at);

		if (route_token_is(want, "{id}"))
			*ret_id = tokens[i];
		else if (want.len != tokens[i].len || memcmp(want.s, tokens[i].s, want.len) != 0)
			return false;
	}
	return true;
}

static const struct route *find(enum route_method method, const struct route_token *tokens,
				struct route_token *ret_id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *route = &routes[i];

		if (route->method == method && matches(route->path, tokens, ret_id))
			return route;
	}
	return NULL;
}

int route(const struct route_req *req, struct route_out *out, struct err *e)
{
	struct route_call call = { .req = req };
	struct route_token tokens[ROUTE_DEPTH] = { 0 };
	struct route_token id = { 0 };
	const struct route *route;
	int r;

	route_split(req->target, tokens, ARRAY_SIZE(tokens));
	route = find(req->method, tokens, &id);
	if (!takes_no_body(req->method, tokens)) {
		r = check_body(req, e);
		if (r < 0)
			return r;
	}
	if (!route || !path_of(req->target)) {
		if (req->method == ROUTE_PUT && route_token_is(tokens[0], "snapshot"))
			return refuse_snapshot(tokens[1], e);
		return refuse_path(req, tokens[0], e);
	}
	if (id.s) {
		r = take_id(id, &call, e);
		if (r < 0)
			return r;
	}
	if (strchr(req->target, '%')) /* nothing here is ever decoded */
		return refuse_path(req, tokens[0], e);
	return route->serve(&call, out, e);
}

bool route_list(unsigned i, enum route_method *ret_method, const char **ret_path)
{
	if (i >= ARRAY_SIZE(routes))
		return false;
	*ret_method = routes[i].method;
	*ret_path = routes[i].path;
	return true;
}
