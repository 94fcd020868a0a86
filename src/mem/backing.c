/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

#define HUGE_PAGE ((size_t)2 << 20)

static int map_failed(size_t size, enum backing_pages pages, int r, struct err *e)
{
	if (pages == BACKING_PAGES_2M)
		return err_set(
			e, ERR_INTERNAL, r,
			"guest memory of %zu MiB cannot be mapped from 2 MiB pages: %s; raise "
			"/proc/sys/vm/nr_hugepages to hold %zu more",
			size >> 20, strerror(-r), size >> 21);
	return err_set(
		e, ERR_INTERNAL, r,
		"guest memory of %zu MiB cannot be mapped: %s; lower mem_size_mib or raise the "
		"address-space limit",
		size >> 20, strerror(-r));
}

/* A file that only lives in memory, of this size for ever; -errno. */
static int make_memfd(size_t size, enum backing_pages pages)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int r = FAULT(-EMFILE);
	autoclose int fd = -1;

	if (pages == BACKING_PAGES_2M)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	if (r == 0)
		fd = memfd_create("guest_memory", flags);
	if (fd < 0)
		return r < 0 ? r : -errno;
	/* Whoever it is shared with cannot take pages from under the guest. */
	r = FAULT(-EFBIG);
	if (r == 0 && (ftruncate(fd, (off_t)size) < 0 ||
		       fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0))
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

/*
 * Addresses that begin where a page of 2 MiB does, as the guest's do: KVM maps large pages
 * only where both are equally far into one, and Linux before 6.7 goes by 4 KiB. Nothing
 * else can come between, for they stay taken until they are mapped over.
 */
static void *reserve(size_t size)
{
	size_t before;
	uint8_t *p;

	if (size > SIZE_MAX - HUGE_PAGE) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	p = mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	if (p == MAP_FAILED)
		return p;
	before = -(uintptr_t)p % HUGE_PAGE;
	if (before > 0)
		(void)munmap(p, before);
	(void)munmap(p + before + size, HUGE_PAGE - before);
	return p + before;
}

static void *map_at(void *at, const struct backing *b, int flags)
{
	void *p = MAP_FAILED;
	int r;

	if (at == MAP_FAILED)
		return p;
	p = mmap(at, b->size, PROT_READ | PROT_WRITE, flags | (at ? MAP_FIXED : 0),
		 b->kind == BACKING_PRIVATE ? -1 : b->fd, 0);
	r = errno;
	if (p == MAP_FAILED && at)
		(void)munmap(at, b->size);
	errno = r;
	return p;
}

static int map(struct backing *b, enum backing_pages pages)
{
	static const int kinds[] = {
		[BACKING_PRIVATE] = MAP_PRIVATE | MAP_ANONYMOUS,
		[BACKING_SHARED] = MAP_SHARED,
		[BACKING_FILE] = MAP_PRIVATE,
	};
	int flags = kinds[b->kind];
	int r = FAULT(-ENOMEM);
	void *p;

	/* Huge pages of the pool are reserved here and now; others come when touched. */
	if (pages != BACKING_PAGES_2M)
		flags |= MAP_NORESERVE;
	else if (b->kind == BACKING_PRIVATE)
		flags |= MAP_HUGETLB | MAP_HUGE_2MB;
	if (r < 0)
		return r;
	p = map_at(pages == BACKING_PAGES_2M ? NULL : reserve(b->size), b, flags);
	if (p == MAP_FAILED)
		return -errno;
	/* Hints: their failure harms nobody. */
	(void)madvise(p, b->size, MADV_DONTDUMP);
	(void)madvise(p, b->size, MADV_DONTFORK);
	if (pages == BACKING_PAGES_TRANSPARENT)
		(void)madvise(p, b->size, MADV_HUGEPAGE);
	b->hva = p;
	return 0;
}

int backing_create(size_t size, enum backing_kind kind, enum backing_pages pages,
		   struct backing *ret_backing, struct err *e)
{
	struct backing b = { .size = size, .kind = kind, .fd = -1 };
	int r = 0;

	if (kind == BACKING_SHARED)
		r = b.fd = make_memfd(size, pages);
	if (r >= 0)
		r = map(&b, pages);
	if (r < 0) {
		backing_destroy(&b);
		return map_failed(size, pages, r, e);
	}
	*ret_backing = b;
	return 0;
}

int backing_map_file(int fd, size_t size, enum backing_pages pages, struct backing *ret_backing,
		     struct err *e)
{
	struct backing b = { .size = size, .kind = BACKING_FILE, .fd = FAULT(-EMFILE) };
	int r = b.fd;

	if (r == 0) {
		b.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = b.fd < 0 ? -errno : map(&b, pages);
	}
	if (r < 0) {
		backing_destroy(&b);
		return map_failed(size, pages, r, e);
	}
	*ret_backing = b;
	return 0;
}

void backing_destroy(struct backing *backing)
{
	if (backing->hva)
		(void)munmap(backing->hva, backing->size);
	if (backing->kind != BACKING_PRIVATE)
		fd_close_(&backing->fd);
	*backing = (struct backing){ 0 };
}
