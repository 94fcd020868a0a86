/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files behind block devices. Their contents are never looked at: an image is raw
 * whatever it begins with.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

/*
 * Opens a regular file or a block device; everything else is refused by name.
 * Never waits for a FIFO's other end. The descriptor is close-on-exec and blocking.
 */
must_check int blk_open(const char *path, bool read_only, int *ret_fd, struct err *e);

/* Bytes behind the descriptor, 0 included. */
must_check int blk_size(int fd, uint64_t *ret_bytes, struct err *e);

/* Block sizes and hints of a medium, in bytes. All 0 for a regular file. */
struct blk_geometry {
	uint32_t logical;  /* the unit of I/O, a power of two of 512 at least */
	uint32_t physical; /* the unit of the medium, `logical' times a power of two */
	uint32_t offset;   /* of the first aligned byte; less than `physical' */
	uint32_t min_io, opt_io;
};

/* An image keeps sectors of 512 bytes whatever file system it lies on. */
must_check int blk_geometry(int fd, struct blk_geometry *ret, struct err *e);

/* The same from a medium's own words: what makes no sense is left out. */
struct blk_geometry blk_geometry_of(unsigned logical, unsigned physical, int offset,
				    unsigned min_io, unsigned opt_io);

/*
 * Lets I/O on the descriptor go around the host's page cache, if the file takes it in
 * units of 512 bytes: a larger unit would make a write of one sector a read and a write
 * of its neighbours too. Returns the alignment of memory that it asks for, 4096 at
 * most; or 0, and nothing has changed.
 */
must_check unsigned blk_go_direct(int fd);
