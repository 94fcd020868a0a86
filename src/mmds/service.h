/* SPDX-License-Identifier: Apache-2.0 */
/* The service's inside, for the files of this layer: what a guest's request is answered. */
#pragma once

#include "mmds/mmds.h"
#include "mmds/request.h"
#include "mmds/token.h"

enum { MMDS_REPLY_MAX = MMDS_REQUEST_MAX + 640 }; /* bytes of text: errors repeat the request */

struct mmds {
	size_t limit;
	struct mmds_doc *doc; /* one reference; none until the first PUT */
	bool initialised;     /* a PUT was accepted */
	enum mmds_version version;
	bool imds_compat; /* text whatever the request wants */
	struct mmds_tokens tokens;
	uint8_t isn_key[SIPHASH_KEY]; /* of the sequence numbers of connections */
	struct mmds_metrics count;
	struct metrics_group group; /* of count */
};

struct mmds_reply {
	size_t len;		/* of text: all but a document's part, which follows */
	struct mmds_doc *doc;	/* one reference, or NULL */
	struct mmds_slice body; /* in doc */
	bool close;		/* no further request is taken */
	char text[MMDS_REPLY_MAX];
};

/*
 * Answers the request that `buf' begins with: its bytes, or 0 when more of it has to
 * come. What cannot be understood is answered too, takes all bytes and closes.
 */
must_check size_t mmds_answer(struct mmds *mmds, const char *buf, size_t len, usec_t now,
			      struct mmds_reply *reply);

/* Gives its document back. May be called again. */
void mmds_reply_fini(struct mmds_reply *reply);
