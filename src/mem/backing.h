/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host memory behind guest memory.
 *
 * Anonymous and private, or a memfd that can be shared with another process, or a
 * private view of a file, whose pages are read when they are touched and which is never
 * written; reserved lazily, kept out of core dumps and of children. Made and freed by the
 * main thread while no vCPU exists.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

enum backing_pages {
	BACKING_PAGES_DEFAULT,
	BACKING_PAGES_TRANSPARENT, /* huge where the kernel finds them */
	BACKING_PAGES_2M,	   /* from the host's pool of huge pages, or not at all */
};

enum backing_kind {
	BACKING_PRIVATE, /* anonymous: nobody else can see it */
	BACKING_SHARED,	 /* a memfd, which cannot be resized any more */
	BACKING_FILE,	 /* a snapshot's memory file, copied page by page when written */
};

struct backing {
	uint8_t *hva; /* owned; NULL: none */
	size_t size;
	enum backing_kind kind;
	int fd; /* owned; valid unless private */
};

/* `size' is a multiple of the page size. Every error names the figure and the remedy. */
must_check int backing_create(size_t size, enum backing_kind kind, enum backing_pages pages,
			      struct backing *ret_backing, struct err *e);

/*
 * The same of `fd' (of at least `size' bytes, open for reading), of which it keeps a
 * duplicate. Whoever makes the file shorter kills the machine: SIGBUS. Not from
 * BACKING_PAGES_2M, which no file has.
 */
must_check int backing_map_file(int fd, size_t size, enum backing_pages pages,
				struct backing *ret_backing, struct err *e);
void backing_destroy(struct backing *backing);
