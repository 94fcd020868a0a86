/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

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

static int map(struct backing *b, enum backing_pages pages)
{
	int flags = b->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	int r = FAULT(-ENOMEM);
	void *p;

	/* Huge pages of the pool are reserved here and now; others come when touched. */
	if (pages != BACKING_PAGES_2M)
		flags |= MAP_NORESERVE;
	else if (!b->shared)
		flags |= MAP_HUGETLB | MAP_HUGE_2MB;
	if (r < 0)
		return r;
	p = mmap(NULL, b->size, PROT_READ | PROT_WRITE, flags, b->shared ? b->fd : -1, 0);
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
	struct backing b = { .size = size };
	int r = 0;

	if (kind == BACKING_SHARED) {
		r = make_memfd(size, pages);
		b.shared = r >= 0;
		b.fd = r;
	}
	if (r >= 0)
		r = map(&b, pages);
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
	if (backing->shared)
		close(backing->fd);
	*backing = (struct backing){ 0 };
}
