/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP request as a guest has written it: a line, headers, no body. Bytes in, slices
 * of them out; nothing is decoded, copied or kept.
 */
#pragma once

#include "mmds/doc.h"

enum { MMDS_REQUEST_MAX = 2500 }; /* bytes (contract, 4.1) */

enum mmds_method {
	MMDS_METHOD_GET,
	MMDS_METHOD_PUT,
	MMDS_METHOD_PATCH,
	MMDS_METHOD_DELETE,
};

struct mmds_request {
	enum mmds_method method;
	struct mmds_slice path; /* of the target; empty: it has none */
	bool http10;
	bool close; /* the client wants no further request on this connection */
	enum mmds_form accept;
	/* Headers: the name as it was written, and the value; p is NULL where there is none. */
	struct mmds_slice token;
	struct mmds_slice ttl_name, ttl;
	struct mmds_slice forwarded_name;
};

/* Why bytes are no request that is served, for the client. */
struct mmds_fault {
	unsigned status;
	const char *text;
	struct mmds_slice name, value; /* of the header it is about, if p is not NULL */
};

/*
 * Bytes of the request, 0 when more have to come, or -EBADMSG with *fault; of *ret only
 * http10 counts then. No more than MMDS_REQUEST_MAX bytes are looked at.
 */
must_check int mmds_request_parse(const char *buf, size_t len, struct mmds_request *ret,
				  struct mmds_fault *fault);

must_check bool mmds_slice_is(struct mmds_slice s, const char *text);

/* The digits of a u32 and nothing else. */
must_check bool mmds_slice_u32(struct mmds_slice s, uint32_t *ret);
