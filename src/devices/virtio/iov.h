/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte ranges of scattered memory. Pure functions on the caller's arrays; the
 * memory behind them may be the guest's and change at any moment.
 */
#pragma once

#include <sys/uio.h>

#include "base/cc.h"

/*
 * The segments of bytes [off, off + len) of iov[0..n) into to[], which has room
 * for n. Returns how many; the range must lie inside.
 */
must_check unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t off, uint64_t len,
			      struct iovec *to);

/* Drops the first `len' bytes in place: *iov and *n move on. */
void iov_advance(struct iovec **iov, unsigned *n, uint64_t len);

/* Copies between bytes [off, off + len) and a buffer; the range must lie inside. */
void iov_copy_out(const struct iovec *iov, unsigned n, uint64_t off, void *dst, size_t len);
void iov_copy_in(const struct iovec *iov, unsigned n, uint64_t off, const void *src, size_t len);
