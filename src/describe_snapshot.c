/* SPDX-License-Identifier: Apache-2.0 */
#include "describe_snapshot.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "vmm/snapshot.h"
#include "vmm/snapshot_file.h"

enum { TEXT_MAX = SNAP_RECORDS_MAX * 64 };

static int describe(const char *path, struct text *t, struct err *e)
{
	autofree uint8_t *data = NULL;
	size_t len = 0;
	int r = snap_file_read(path, &data, &len, e);

	return r < 0 ? r : snapshot_describe(data, len, t, e);
}

int describe_snapshot(const char *path)
{
	autofree char *buf = malloc(TEXT_MAX);
	struct err e = { 0 };
	struct text t;
	int r;

	if (!buf) {
		fprintf(stderr, "out of memory\n");
		return EXIT_FAILURE;
	}
	text_init(&t, buf, TEXT_MAX);
	r = describe(path, &t, &e);
	/* The version is known of a file whose records are not, and then it is said. */
	fputs(t.buf, stdout);
	fflush(stdout);
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
