/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /pmem/{id}: a file that is the guest's memory. Checked in full, though this version has
 * no such device. Whether the body's id is the path's is for the API to compare.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/boot_source.h"
#include "conf/id.h"
#include "conf/rate_limiter.h"

struct conf_pmem {
	char id[CONF_ID_MAX + 1];
	char path_on_host[CONF_PATH_MAX];
	bool root_device;
	bool read_only;
	bool has_rate_limiter;
	struct conf_rate_limiter rate_limiter; /* normalised */
};

struct conf_pmem_patch {
	char id[CONF_ID_MAX + 1];
	bool has_rate_limiter;
	struct conf_rate_limiter rate_limiter; /* as given: see conf_rate_limiter_update() */
};

/* The bodies of PUT and PATCH, decoded and checked. On error *ret is undefined. */
must_check int conf_pmem_parse(const char *body, size_t len, struct conf_pmem *ret, struct err *e);
must_check int conf_pmem_patch_parse(const char *body, size_t len, struct conf_pmem_patch *ret,
				     struct err *e);
