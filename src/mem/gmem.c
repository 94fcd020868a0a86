/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/gmem.h"

#include <string.h>

enum { PAGE_SHIFT = 12 };

int gmem_add(struct gmem *m, gpa_t base, uint64_t size, void *hva)
{
	gpa_t end;

	if (size == 0 || __builtin_add_overflow(base, size, &end))
		return -EINVAL;
	if (m->nregions == GMEM_MAX_REGIONS)
		return -ENOSPC;
	if (m->nregions > 0) {
		const struct gmem_region *last = &m->region[m->nregions - 1];

		if (base < last->base + last->size)
			return -EEXIST;
	}
	m->region[m->nregions++] = (struct gmem_region){
		.base = base,
		.size = size,
		.hva = hva,
	};
	return 0;
}

/* The region holding gpa, or NULL.  Compares offsets, so nothing overflows. */
static const struct gmem_region *region_of(const struct gmem *m, gpa_t gpa)
{
	for (unsigned i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->region[i];

		if (gpa - r->base < r->size && gpa >= r->base)
			return r;
	}
	return NULL;
}

void *gmem_hva(const struct gmem *m, gpa_t gpa, uint64_t len)
{
	const struct gmem_region *r = region_of(m, gpa);

	if (!r || len > r->size - (gpa - r->base))
		return NULL;
	return r->hva + (gpa - r->base);
}

int gmem_iov(const struct gmem *m, gpa_t gpa, uint64_t len, struct iovec *iov, unsigned cap,
	     unsigned *n)
{
	while (len > 0) {
		const struct gmem_region *r = region_of(m, gpa);
		uint64_t room;

		if (!r)
			return -EFAULT;
		if (*n == cap)
			return -ENOBUFS;
		room = r->size - (gpa - r->base);
		if (room > len)
			room = len;
		iov[(*n)++] = (struct iovec){
			.iov_base = r->hva + (gpa - r->base),
			.iov_len = room,
		};
		gpa += room;
		len -= room;
	}
	return 0;
}

static void dirty_region(const struct gmem_region *r, uint64_t off, uint64_t len)
{
	if (!r->dirty || len == 0)
		return;
	for (uint64_t p = off >> PAGE_SHIFT; p <= (off + len - 1) >> PAGE_SHIFT; p++)
		__atomic_fetch_or(&r->dirty[p / 64], UINT64_C(1) << (p % 64), __ATOMIC_RELAXED);
}

void gmem_dirty(const struct gmem *m, gpa_t gpa, uint64_t len)
{
	const struct gmem_region *r = region_of(m, gpa);

	if (r)
		dirty_region(r, gpa - r->base, len);
}

void gmem_dirty_iov(const struct gmem *m, const struct iovec *iov, unsigned n, uint64_t len)
{
	for (unsigned i = 0; i < n && len > 0; i++) {
		uint64_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

		for (unsigned k = 0; k < m->nregions; k++) {
			const struct gmem_region *r = &m->region[k];
			uint64_t off = (uintptr_t)iov[i].iov_base - (uintptr_t)r->hva;

			if (off < r->size)
				dirty_region(r, off, part);
		}
		len -= part;
	}
}

/* The barrier keeps the compiler from reading guest memory a second time. */
static void copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__asm__ __volatile__("" ::: "memory");
}

int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, size_t len)
{
	struct iovec iov[GMEM_MAX_REGIONS];
	uint8_t *to = dst;
	unsigned n = 0;
	int r;

	r = gmem_iov(m, gpa, len, iov, ARRAY_SIZE(iov), &n);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; to += iov[i++].iov_len)
		copy(to, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, size_t len)
{
	struct iovec iov[GMEM_MAX_REGIONS];
	const uint8_t *from = src;
	unsigned n = 0;
	int r;

	r = gmem_iov(m, gpa, len, iov, ARRAY_SIZE(iov), &n);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		copy(iov[i].iov_base, from, iov[i].iov_len);
		gmem_dirty(m, gpa, iov[i].iov_len);
		from += iov[i].iov_len;
		gpa += iov[i].iov_len;
	}
	return 0;
}
