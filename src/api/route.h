/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router: method and path to the resource that serves them, and the rules that
 * hold for all resources (contract, 1.2): which methods carry a body, what an id may
 * look like, and what is answered for paths that nobody serves.
 *
 * It knows neither HTTP nor threads. A GET is answered from the newest view; anything
 * else becomes an action that the caller submits. API thread, or a test.
 */
#pragma once

#include "base/err.h"
#include "conf/id.h"
#include "vmm/action.h"
#include "vmm/view.h"

enum route_method { ROUTE_GET, ROUTE_PUT, ROUTE_PATCH, ROUTE_DELETE };

struct route_req {
	enum route_method method;
	const char *target; /* as it stood in the request line: nothing decoded */
	const char *body;   /* not NUL-terminated */
	size_t len;	    /* bytes of the body; 0: there is none */
	struct view_board *views;
};

enum { ROUTE_DEPTH = 3 }; /* parts of a path that decide */

/* A part of the target between two slashes; not NUL-terminated. */
struct route_token {
	const char *s;
	size_t len;
};

/* What a resource's handler gets. */
struct route_call {
	const struct route_req *req;
	char id[CONF_ID_MAX + 2]; /* checked; "" where the path has none */
};

/*
 * What became of a request: either `body' is the reply (200; the view that holds it,
 * or NULL for a constant, is the caller's to put), or `submit' says that *action was
 * filled and is to be handed to the vmm, or `stream' that events follow. A handler sets
 * `deprecated', before an error too, when the request used what will go away: the answer then says
 * so in its header `Deprecation: true', whatever becomes of the request.
 */
struct route_out {
	struct action *action; /* the caller's, set before route() */
	bool submit;
	bool deprecated;
	struct view *view;
	const char *body;
	const char *type;  /* of the body; NULL: JSON */
	bool stream;	   /* the answer is the stream of events */
	const char *timed; /* "pause vm": the log wants to know how long it took */
};

typedef int (*route_fn)(const struct route_call *call, struct route_out *out, struct err *e);

/*
 * On error the text in `e' is for the client; -EBADMSG marks a decoding error, whose
 * text still lacks the contract's preamble (reply.c puts it there).
 */
must_check int route(const struct route_req *req, struct route_out *out, struct err *e);

/* "PUT" to the method; -EINVAL for one that the API does not have. */
must_check int route_method_parse(const char *name, enum route_method *ret);
const char *route_method_name(enum route_method method);

bool route_token_is(struct route_token token, const char *text);

/* The first n parts of the path; those that are not there are empty. */
void route_split(const char *target, struct route_token *tokens, unsigned n);

/* The i-th route, its path without the first slash; false: there are no more. */
must_check bool route_list(unsigned i, enum route_method *ret_method, const char **ret_path);
