/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/serial.h"

#include <string.h>

#include "conf/decode.h"

enum { ROW_PATH, ROW_SOCKET = 2 };

static const struct json_field fields[] = {
	[ROW_PATH] = JSON_ROW("serial_out_path", JSON_STRING, conf_serial, serial_out_path,
			      .nullable = true),
	JSON_ROW("rate_limiter", JSON_OBJECT, conf_serial, rate_limiter, .nullable = true,
		 .table = &conf_token_bucket_table, JSON_HAS(conf_serial, has_rate_limiter)),
	[ROW_SOCKET] = JSON_ROW("socket_path", JSON_STRING, conf_serial, socket_path,
				.nullable = true, .ours = true),
};

static const struct json_table table = {
	.name = "struct SerialConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_serial_parse(const char *body, size_t len, struct conf_serial *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	uint64_t given = 0;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	r = json_decode(json_root(doc), &table, ret, &given, e);
	if (r < 0)
		return r;
	if (given & UINT64_C(1) << ROW_PATH && ret->serial_out_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The serial_out_path is empty; leave it out for standard output.");
	if (given & UINT64_C(1) << ROW_SOCKET && ret->socket_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The socket_path is empty; leave it out for standard output.");
	if (given & UINT64_C(1) << ROW_PATH && given & UINT64_C(1) << ROW_SOCKET)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "serial_out_path and socket_path exclude each other: the console "
			       "goes to one place.");
	return 0;
}
