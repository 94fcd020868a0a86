/* SPDX-License-Identifier: Apache-2.0 */
/* The table of mounts, as the kernel writes it (proc(5), /proc/PID/mountinfo). */
#pragma once

#include "base/err.h"

struct mountinfo_line {
	char point[512];   /* where it is mounted; "" when that is longer */
	char type[32];	   /* file system */
	char options[512]; /* of the file system, with commas */
};

/* The whole of /proc/self/mountinfo; the caller frees it. */
must_check int mountinfo_read(char **ret_text, struct err *e);

/*
 * The line at *at, with the kernel's \ooo undone; *at goes on to the next. 1, or 0 at the
 * end. A line that is not of the format is passed over.
 */
must_check int mountinfo_next(const char **at, struct mountinfo_line *ret_line);

must_check bool mountinfo_has_option(const struct mountinfo_line *line, const char *word);
