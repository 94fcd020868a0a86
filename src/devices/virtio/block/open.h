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
