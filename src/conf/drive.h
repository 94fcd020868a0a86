/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /drives/{id}: a block device. Whether the body's id is the path's is for the API
 * to compare; whether the file can be opened is for the machine.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/boot_source.h"
#include "conf/id.h"
#include "conf/rate_limiter.h"

enum conf_cache_type {
	CONF_CACHE_UNSAFE,
	CONF_CACHE_WRITEBACK,
};

enum conf_io_engine {
	CONF_IO_ENGINE_SYNC,
	CONF_IO_ENGINE_ASYNC,
};

struct conf_drive {
	char drive_id[CONF_ID_MAX + 1];
	char partuuid[128]; /* "": none; of a root device */
	bool is_root_device;
	enum conf_cache_type cache_type;
	bool is_read_only;
	char path_on_host[CONF_PATH_MAX]; /* "": a vhost-user device */
	bool has_rate_limiter;
	struct conf_rate_limiter rate_limiter; /* normalised */
	enum conf_io_engine io_engine;
	char socket[108]; /* of vhost-user; "": none. As long as sun_path */
	bool discard;	  /* offer DISCARD and WRITE_ZEROES; our addition to the contract */
	bool direct;	  /* O_DIRECT where the file allows it; ours too */
};

struct conf_drive_patch {
	char drive_id[CONF_ID_MAX + 1];
	bool has_path_on_host;
	bool has_rate_limiter;
	char path_on_host[CONF_PATH_MAX];
	struct conf_rate_limiter rate_limiter; /* as given: see conf_rate_limiter_update() */
};

/*
 * The body of a PUT, decoded and checked. On error *ret is undefined. Messages of the
 * check have no prefix; "Drive config error: " is put there by who answers.
 */
must_check int conf_drive_parse(const char *body, size_t len, struct conf_drive *ret,
				struct err *e);
must_check int conf_drive_check(const struct conf_drive *d, struct err *e);

/* The body of a PATCH, decoded and its id checked. On error *ret is undefined. */
must_check int conf_drive_patch_parse(const char *body, size_t len, struct conf_drive_patch *ret,
				      struct err *e);

/*
 * The drive after a PATCH. -EINVAL, in the contract's words, when it gives nothing but
 * the id; then *inout is as before. The ids are not compared.
 */
must_check int conf_drive_patch_apply(const struct conf_drive_patch *patch,
				      struct conf_drive *inout, struct err *e);

void conf_drive_print(struct text *t, const struct conf_drive *d);

const char *conf_cache_type_name(enum conf_cache_type v);
const char *conf_io_engine_name(enum conf_io_engine v);
