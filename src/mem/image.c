/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/image.h"

#include <fcntl.h>
#include <string.h>

#include "base/fault.h"

enum { PAGE = 4096, CHUNK_PAGES = 512, CHUNK = CHUNK_PAGES * PAGE };

/* Linux, Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_OF_FILE (UINT64_C(1) << 61)

static int failed(const char *what, int r, struct err *e)
{
	return err_set(e, ERR_INTERNAL, r, "the memory file cannot be %s: %s (os error %d)", what,
		       strerror(-r), -r);
}

int image_begin(struct image *w, const struct backing *from, int fd, struct err *e)
{
	int r = FAULT(-EFBIG);

	*w = (struct image){ .from = from, .fd = fd, .pagemap = -1 };
	if (r == 0 && ftruncate(fd, (off_t)from->size) < 0)
		r = -errno;
	if (r < 0)
		return failed("made as large as the memory", r, e);
	if (from->kind != BACKING_SHARED)
		w->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return 0;
}

void image_fini(struct image *w)
{
	fd_close_(&w->pagemap);
	w->pagemap = -1;
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *v = (const uint64_t *)(uintptr_t)page;

	for (unsigned i = 0; i < PAGE / sizeof(*v); i += 8)
		if (v[i] | v[i + 1] | v[i + 2] | v[i + 3] | v[i + 4] | v[i + 5] | v[i + 6] |
		    v[i + 7])
			return false;
	return true;
}

/* --- what need not be read --------------------------------------------------- */

/* Whether the file behind the memory holds something in this page; when unsure, yes. */
static bool file_has(struct image *w, size_t at)
{
	int fd = w->from->fd;
	off_t data;

	if (w->from->kind == BACKING_PRIVATE)
		return false;
	if (at >= w->hole) {
		off_t hole;

		data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO) {
			w->data = w->hole = SIZE_MAX;
			return false;
		}
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		w->data = data < 0 ? at : (size_t)data;
		w->hole = hole < 0 ? SIZE_MAX : (size_t)hole;
	}
	return at + PAGE > w->data;
}

/* The kernel's word on each page of a chunk; false: it has none. */
static bool ask_pagemap(const struct image *w, size_t at, unsigned n, uint64_t *entries)
{
	off_t where = (off_t)(((uintptr_t)w->from->hva + at) / PAGE * sizeof(*entries));
	ssize_t want = (ssize_t)(n * sizeof(*entries));

	return w->pagemap >= 0 && pread(w->pagemap, entries, (size_t)want, where) == want;
}

static bool is_own(uint64_t entry)
{
	return entry & PAGEMAP_SWAPPED || (entry & PAGEMAP_PRESENT && !(entry & PAGEMAP_OF_FILE));
}

/* --- writing ---------------------------------------------------------------- */

static int write_run(struct image *w, size_t at, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = FAULT(-ENOSPC);

		if (n == 0) {
			n = pwrite(w->fd, w->from->hva + at, len, (off_t)at);
			n = n < 0 ? -errno : n;
		}
		if (n == -EINTR) /* io_uring's task work */
			continue;
		if (n < 0)
			return failed("written", (int)n, e);
		at += (size_t)n;
		len -= (size_t)n;
		w->written += (size_t)n;
	}
	return 0;
}

/* Whether the page has to be written. */
static bool holds_something(struct image *w, size_t at, const uint64_t *entry)
{
	bool shared = w->from->kind == BACKING_SHARED;

	if ((shared || entry) && !(entry && is_own(*entry)) && !file_has(w, at))
		return false;
	return !is_zero(w->from->hva + at);
}

/* At most CHUNK bytes, as few writes as there are runs. */
static int write_chunk(struct image *w, size_t at, unsigned npages, struct err *e)
{
	uint64_t entries[CHUNK_PAGES];
	bool known = ask_pagemap(w, at, npages, entries);
	unsigned begin = 0;
	int r = 0;

	for (unsigned i = 0; i <= npages && r == 0; i++) {
		if (i < npages &&
		    holds_something(w, at + (size_t)i * PAGE, known ? &entries[i] : NULL))
			continue;
		if (i > begin)
			r = write_run(w, at + (size_t)begin * PAGE, (size_t)(i - begin) * PAGE, e);
		begin = i + 1;
	}
	return r;
}

int image_step(struct image *w, size_t len, struct err *e)
{
	size_t end = len < w->from->size - w->at ? w->at + len : w->from->size;

	while (w->at < end) {
		size_t left = w->from->size - w->at;
		size_t part = left < CHUNK ? left : CHUNK;
		int r = write_chunk(w, w->at, (unsigned)(part / PAGE), e);

		if (r < 0)
			return r;
		w->at += part;
	}
	return w->at < w->from->size;
}
