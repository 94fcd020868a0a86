/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/boot_source.h"

#include <string.h>

#include "conf/decode.h"

#define CMDLINE_INVALID "The kernel command line is invalid: "

enum { ROW_INITRD = 1 };

static const struct json_field fields[] = {
	JSON_ROW("kernel_image_path", JSON_STRING, conf_boot_source, kernel_image_path,
		 .required = true,
		 .too_long = "The kernel file cannot be opened: File name too long (os error 36)"),
	[ROW_INITRD] = JSON_ROW("initrd_path", JSON_STRING, conf_boot_source, initrd_path,
				.nullable = true,
				.too_long = "The initrd file cannot be opened due to invalid path "
					    "or invalid permissions. File name too long "
					    "(os error 36)"),
	JSON_ROW("boot_args", JSON_STRING, conf_boot_source, boot_args, .nullable = true,
		 JSON_HAS(conf_boot_source, has_boot_args),
		 .too_long = CMDLINE_INVALID "Inserting string would make command line too long."),
};

static const struct json_table table = {
	.name = "struct BootSourceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

int conf_boot_source_check(const struct conf_boot_source *b, struct err *e)
{
	for (const char *s = b->boot_args; *s; s++)
		if (*s < ' ' || *s > '~')
			return err_set(e, ERR_INVALID, -EINVAL,
				       CMDLINE_INVALID
				       "String contains a non-printable ASCII character.");
	if (b->kernel_image_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The kernel file cannot be opened: No such file or directory "
			       "(os error 2)");
	return 0;
}

int conf_boot_source_decode(struct json_value v, struct conf_boot_source *ret, struct err *e)
{
	uint64_t given = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = json_decode(v, &table, ret, &given, e);
	if (r < 0)
		return r;
	if (given & UINT64_C(1) << ROW_INITRD && ret->initrd_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The initrd file cannot be opened due to invalid path or invalid "
			       "permissions. No such file or directory (os error 2)");
	return conf_boot_source_check(ret, e);
}

int conf_boot_source_parse(const char *body, size_t len, struct conf_boot_source *ret,
			   struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_boot_source_decode(json_root(doc), ret, e);
}

void conf_boot_source_print(struct text *t, const struct conf_boot_source *b)
{
	json_encode(t, &table, b);
}
