/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /balloon: checked in full, though this version has no such device. A client that sends
 * nonsense learns of that first, and one that sends sense learns that it is not served.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

struct conf_balloon {
	uint32_t amount_mib;
	bool deflate_on_oom;
	uint16_t stats_polling_interval_s; /* 0: no statistics */
	bool free_page_hinting;
	bool free_page_reporting;
};

/* The body of a PUT, decoded and checked by itself. On error *ret is undefined. */
must_check int conf_balloon_parse(const char *body, size_t len, struct conf_balloon *ret,
				  struct err *e);

/* Whether a guest of this size can give so much away. */
must_check int conf_balloon_check(const struct conf_balloon *b, uint64_t mem_size_mib,
				  struct err *e);

/* The bodies of the PATCHes: another amount, another interval, and how a run of hinting ends. */
must_check int conf_balloon_amount_parse(const char *body, size_t len, uint32_t *ret_amount_mib,
					 struct err *e);
must_check int conf_balloon_interval_parse(const char *body, size_t len, uint16_t *ret_interval_s,
					   struct err *e);

/* No body is as good as an empty object. */
must_check int conf_balloon_hinting_parse(const char *body, size_t len,
					  bool *ret_acknowledge_on_stop, struct err *e);
