/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /boot-source: what to boot. The files are not looked at here, and the default
 * command line is the machine's; only what the user wrote is kept.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"

#define CONF_PATH_MAX	 4096 /* bytes, with NUL */
#define CONF_CMDLINE_MAX 2048 /* bytes, with NUL */

struct conf_boot_source {
	char kernel_image_path[CONF_PATH_MAX];
	char initrd_path[CONF_PATH_MAX]; /* "": none */
	char boot_args[CONF_CMDLINE_MAX];
	bool has_boot_args; /* an empty one is one too */
};

/* The body of a PUT, decoded and checked. On error *ret is undefined. */
must_check int conf_boot_source_parse(const char *body, size_t len, struct conf_boot_source *ret,
				      struct err *e);

/* Characters of the command line; "The kernel command line is invalid: ...". */
must_check int conf_boot_source_check(const struct conf_boot_source *b, struct err *e);

void conf_boot_source_print(struct text *t, const struct conf_boot_source *b);
