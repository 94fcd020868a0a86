/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/iov.h"

#include <assert.h>
#include <string.h>

unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t off, uint64_t len,
		   struct iovec *to)
{
	unsigned made = 0;

	for (unsigned i = 0; i < n && len > 0; i++) {
		uint64_t part = iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len)
			part = len;
		to[made++] = (struct iovec){
			.iov_base = (uint8_t *)iov[i].iov_base + off,
			.iov_len = part,
		};
		len -= part;
		off = 0;
	}
	assert(len == 0);
	return made;
}

void iov_advance(struct iovec **iov, unsigned *n, uint64_t len)
{
	while (*n > 0 && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (len > 0) {
		assert(*n > 0);
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
}

/* Copies what of [*off, *off + len) lies in one segment; skips it otherwise. */
static size_t part_of(const struct iovec *seg, uint64_t *off, size_t len, uint8_t **at)
{
	size_t part;

	if (*off >= seg->iov_len) {
		*off -= seg->iov_len;
		return 0;
	}
	*at = (uint8_t *)seg->iov_base + *off;
	part = seg->iov_len - *off;
	*off = 0;
	return part < len ? part : len;
}

/* The barriers keep the compiler from reading guest memory a second time. */
void iov_copy_out(const struct iovec *iov, unsigned n, uint64_t off, void *dst, size_t len)
{
	uint8_t *to = dst, *at = NULL;

	for (unsigned i = 0; i < n && len > 0; i++) {
		size_t part = part_of(&iov[i], &off, len, &at);

		if (part == 0)
			continue;
		memcpy(to, at, part);
		to += part;
		len -= part;
	}
	__asm__ __volatile__("" ::: "memory");
	assert(len == 0);
}

void iov_copy_in(const struct iovec *iov, unsigned n, uint64_t off, const void *src, size_t len)
{
	const uint8_t *from = src;
	uint8_t *at = NULL;

	for (unsigned i = 0; i < n && len > 0; i++) {
		size_t part = part_of(&iov[i], &off, len, &at);

		if (part == 0)
			continue;
		memcpy(at, from, part);
		from += part;
		len -= part;
	}
	__asm__ __volatile__("" ::: "memory");
	assert(len == 0);
}
