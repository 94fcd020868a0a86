/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this layer know of a document. */
#pragma once

#include <cjson/cJSON.h>

#include "json/json.h"
#include "json/scan.h"

struct json_doc {
	const char *text;	  /* caller's */
	cJSON *root;		  /* owned */
	uint32_t count;		  /* of spans */
	struct json_span spans[]; /* of each value, in document order */
};

static inline const struct json_span *json_span_of(struct json_value v)
{
	return &v.doc->spans[v.at];
}

/* The values of a document in order: each container before what is in it. */
struct json_walk {
	cJSON *open[JSON_DEPTH_MAX];
	unsigned depth;
};

/* The node after `node', NULL after the last. The walk begins at a root, zeroed. */
cJSON *json_walk_next(struct json_walk *walk, cJSON *node);

/*
 * -EBADMSG with the text "... at line L column C": C characters of line L stand before
 * offset `at'. A text that is too long loses its end, never the position.
 */
must_check printf_like(4, 5) int json_fail(const char *text, size_t at, struct err *e,
					   const char *fmt, ...);

/* At most `max' bytes of s, cut between two characters of UTF-8. */
size_t json_cut(const char *s, size_t max);
