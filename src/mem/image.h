/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as a file: every byte at its place, and a hole where a page holds
 * nothing but zeros.
 *
 * What a page holds decides, not who wrote it: that is right whatever the host has
 * swapped out. So that pages which nobody has touched need not be read for it, the
 * kernel is asked where there are any: of a file by SEEK_DATA, of private memory by
 * /proc/self/pagemap where there is a /proc (a jail has none, and then all are read).
 *
 * Main thread, while nobody writes the memory.
 */
#pragma once

#include "base/err.h"
#include "mem/backing.h"

struct image {
	const struct backing *from; /* the caller's */
	int fd;			    /* the caller's; for writing */
	int pagemap;		    /* owned; -1: none */
	size_t at;		    /* bytes that have been looked at */
	size_t written;		    /* bytes that are no hole */
	size_t data, hole;	    /* the file's next data at or behind `at', and its end */
};

/* Gives the file its size; it is empty before. Then image_fini(), whatever comes. */
must_check int image_begin(struct image *w, const struct backing *from, int fd, struct err *e);

/* Goes on for about `len' bytes: 1: there is more, 0: that was all. */
must_check int image_step(struct image *w, size_t len, struct err *e);

void image_fini(struct image *w);
