/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory.
 *
 * A guest address is a gpa_t and nothing else: it cannot be dereferenced, and
 * the functions below are the only way from it to host memory.  The guest may
 * change every byte at any moment, so a value is copied out once and checked
 * on the copy; no pointer into guest memory outlives the request it serves.
 *
 * The map is built before the first vCPU runs and is constant afterwards;
 * any thread may then use it without a lock.
 */
#pragma once

#include <sys/uio.h>

#include "base/cc.h"

typedef uint64_t gpa_t;

#define GMEM_MAX_REGIONS 8

struct gmem_region {
	gpa_t base;
	uint64_t size;
	uint8_t *hva;
	uint64_t *dirty; /* one bit per page, or NULL */
};

struct gmem {
	unsigned nregions;
	struct gmem_region region[GMEM_MAX_REGIONS]; /* by base */
};

/* Regions must be added in ascending order and must not overlap. */
must_check int gmem_add(struct gmem *m, gpa_t base, uint64_t size, void *hva);

/* Copies: whole range or -EFAULT with nothing promised about the contents. */
must_check int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, size_t len);
must_check int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, size_t len);

/* Host address of a range that lies in one region, else NULL. */
must_check void *gmem_hva(const struct gmem *m, gpa_t gpa, uint64_t len);

/*
 * Appends host segments for [gpa, gpa + len) to iov[*n..cap).  A range may
 * cross regions that touch.  -EFAULT for a hole, -ENOBUFS when iov is full.
 */
must_check int gmem_iov(const struct gmem *m, gpa_t gpa, uint64_t len, struct iovec *iov,
			unsigned cap, unsigned *n);

/* Records host writes, by address or for the first `len` bytes of an iovec. */
void gmem_dirty(const struct gmem *m, gpa_t gpa, uint64_t len);
void gmem_dirty_iov(const struct gmem *m, const struct iovec *iov, unsigned n, uint64_t len);
