/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive is a file on the host or a vhost-user socket; which one, the members that
 * were given decide, before their defaults hide it (contract, 1.4).
 */
#include "conf/drive.h"

#include <string.h>

#include "conf/decode.h"

#define CANNOT_CREATE "Unable to create the virtio block device: "
#define ID_TOO_LONG   "The drive ID has more than 64 characters."

static const char *const cache_types[] = {
	[CONF_CACHE_UNSAFE] = "Unsafe",
	[CONF_CACHE_WRITEBACK] = "Writeback",
};

static const char *const io_engines[] = {
	[CONF_IO_ENGINE_SYNC] = "Sync",
	[CONF_IO_ENGINE_ASYNC] = "Async",
};

enum {
	ROW_READ_ONLY = 4,
	ROW_PATH,
	ROW_RATE_LIMITER,
	ROW_IO_ENGINE,
	ROW_SOCKET,
	ROW_DISCARD,
	ROW_DIRECT
};

static const struct json_field fields[] = {
	JSON_ROW("drive_id", JSON_STRING, conf_drive, drive_id, .required = true,
		 .too_long = ID_TOO_LONG),
	JSON_ROW("partuuid", JSON_STRING, conf_drive, partuuid, .nullable = true),
	JSON_ROW("is_root_device", JSON_BOOL, conf_drive, is_root_device, .required = true),
	JSON_ROW("cache_type", JSON_ENUM, conf_drive, cache_type, JSON_NAMES(cache_types)),
	[ROW_READ_ONLY] = JSON_ROW("is_read_only", JSON_BOOL, conf_drive, is_read_only,
				   .nullable = true),
	[ROW_PATH] = JSON_ROW("path_on_host", JSON_STRING, conf_drive, path_on_host,
			      .nullable = true),
	[ROW_RATE_LIMITER] = JSON_ROW("rate_limiter", JSON_OBJECT, conf_drive, rate_limiter,
				      .nullable = true, .table = &conf_rate_limiter_table,
				      JSON_HAS(conf_drive, has_rate_limiter)),
	[ROW_IO_ENGINE] = JSON_ROW("io_engine", JSON_ENUM, conf_drive, io_engine, .nullable = true,
				   JSON_NAMES(io_engines)),
	[ROW_SOCKET] = JSON_ROW("socket", JSON_STRING, conf_drive, socket, .nullable = true),
	[ROW_DISCARD] = JSON_ROW("discard", JSON_BOOL, conf_drive, discard, .ours = true),
	[ROW_DIRECT] = JSON_ROW("direct", JSON_BOOL, conf_drive, direct, .ours = true),
};

static const struct json_table table = {
	.name = "struct BlockDeviceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

static const struct json_field patch_fields[] = {
	JSON_ROW("drive_id", JSON_STRING, conf_drive_patch, drive_id, .required = true,
		 .too_long = ID_TOO_LONG),
	JSON_ROW("path_on_host", JSON_STRING, conf_drive_patch, path_on_host, .nullable = true,
		 JSON_HAS(conf_drive_patch, has_path_on_host)),
	JSON_ROW("rate_limiter", JSON_OBJECT, conf_drive_patch, rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_drive_patch, has_rate_limiter)),
};

static const struct json_table patch_table = {
	.name = "struct BlockDeviceUpdateConfig",
	JSON_FIELDS(patch_fields),
	.strict = true,
};

/* No space, and nothing that ends a line of a log or of the kernel's command line. */
static bool is_graphic(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static int check_id(const char *id, struct err *e)
{
	if (id[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "The ID cannot be empty.");
	if (!is_graphic(id))
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The drive ID has characters that are not printable ASCII.");
	return 0;
}

int conf_drive_check(const struct conf_drive *d, struct err *e)
{
	int r = check_id(d->drive_id, e);

	if (r < 0)
		return r;
	if (!is_graphic(d->partuuid))
		return err_set(e, ERR_INVALID, -EINVAL,
			       CANNOT_CREATE "The partuuid of drive `%s` has spaces or characters "
					     "that are not printable ASCII.",
			       d->drive_id);
	if (d->socket[0] != '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       CANNOT_CREATE "Drive `%s` has a `socket`, and vhost-user is not "
					     "supported by this version of wisp.",
			       d->drive_id);
	if (d->path_on_host[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, CANNOT_CREATE "Invalid block config.");
	return 0;
}

static bool is_given(uint64_t given, unsigned row)
{
	return given & UINT64_C(1) << row;
}

/* Exactly one kind of drive, and nothing that belongs to the other. */
static int check_kind(uint64_t given, const struct conf_drive *d, struct err *e)
{
	bool of_file = is_given(given, ROW_READ_ONLY) || is_given(given, ROW_PATH) ||
		       is_given(given, ROW_RATE_LIMITER) || is_given(given, ROW_IO_ENGINE) ||
		       is_given(given, ROW_DISCARD) || is_given(given, ROW_DIRECT);
	bool vhost = is_given(given, ROW_SOCKET) && !of_file;
	bool virtio = is_given(given, ROW_PATH) && !is_given(given, ROW_SOCKET);

	if (!vhost && !virtio)
		return err_set(e, ERR_INVALID, -EINVAL, CANNOT_CREATE "Invalid block config.");
	if (virtio && d->path_on_host[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       CANNOT_CREATE "Virtio backend error: Error manipulating the backing "
					     "file: No such file or directory (os error 2)");
	if (vhost && d->socket[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       CANNOT_CREATE "Vhost-user backend error: the socket of drive `%s` "
					     "is an empty path.",
			       d->drive_id);
	return 0;
}

int conf_drive_decode(struct json_value v, struct conf_drive *ret, struct err *e)
{
	uint64_t given = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = json_decode(v, &table, ret, &given, e);
	if (r == 0)
		r = check_kind(given, ret, e);
	if (r < 0)
		return r;
	conf_rate_limiter_normalise(&ret->rate_limiter);
	ret->has_rate_limiter = conf_rate_limiter_enabled(&ret->rate_limiter);
	return conf_drive_check(ret, e);
}

int conf_drive_parse(const char *body, size_t len, struct conf_drive *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_drive_decode(json_root(doc), ret, e);
}

int conf_drive_patch_parse(const char *body, size_t len, struct conf_drive_patch *ret,
			   struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	r = json_decode(json_root(doc), &patch_table, ret, NULL, e);
	return r < 0 ? r : check_id(ret->drive_id, e);
}

int conf_drive_patch_apply(const struct conf_drive_patch *patch, struct conf_drive *inout,
			   struct err *e)
{
	if (!patch->has_path_on_host && !patch->has_rate_limiter)
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"Unable to patch the block device: Device manager error: Running method "
			"expected different backend. Please verify the request arguments.");
	if (patch->has_path_on_host)
		memcpy(inout->path_on_host, patch->path_on_host, sizeof(inout->path_on_host));
	if (patch->has_rate_limiter) {
		conf_rate_limiter_update(&inout->rate_limiter, &patch->rate_limiter);
		inout->has_rate_limiter = conf_rate_limiter_enabled(&inout->rate_limiter);
	}
	return 0;
}

void conf_drive_print(struct text *t, const struct conf_drive *d)
{
	json_encode(t, &table, d);
}

const char *conf_cache_type_name(enum conf_cache_type v)
{
	return cache_types[v];
}

const char *conf_io_engine_name(enum conf_io_engine v)
{
	return io_engines[v];
}
