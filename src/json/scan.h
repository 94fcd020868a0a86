/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reading of JSON text: RFC 8259, valid UTF-8, no U+0000, limits of
 * json.h. Allocates nothing. Used inside this layer only.
 */
#pragma once

#include "base/cc.h"

/* Where a value stands in the text; values are in document order. */
struct json_span {
	uint32_t colon; /* offset of the ':' after its key; 0: not a member */
	uint32_t start;
	uint32_t end; /* offset after the last character */
};

struct json_fault {
	const char *what; /* in the words of serde_json */
	size_t at;	  /* characters consumed when it was found */
};

/*
 * Number of values, or -EBADMSG and *fault. Fills `spans' unless it is NULL; its room
 * is what an earlier call with NULL returned for the same text. len <= JSON_TEXT_MAX.
 */
must_check int json_scan(const char *text, size_t len, struct json_span *spans,
			 struct json_fault *fault);
