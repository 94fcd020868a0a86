/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

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

int backing_create(size_t size, enum backing_pages pages, struct backing *ret_backing,
		   struct err *e)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int r = FAULT(-ENOMEM);
	void *p;

	/* Huge pages of the pool are reserved here and now; others come when touched. */
	flags |= pages == BACKING_PAGES_2M ? MAP_HUGETLB | MAP_HUGE_2MB : MAP_NORESERVE;
	if (r < 0)
		return map_failed(size, pages, r, e);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return map_failed(size, pages, -errno, e);
	/* Hints: their failure harms nobody. */
	(void)madvise(p, size, MADV_DONTDUMP);
	(void)madvise(p, size, MADV_DONTFORK);
	if (pages == BACKING_PAGES_TRANSPARENT)
		(void)madvise(p, size, MADV_HUGEPAGE);
	*ret_backing = (struct backing){ .hva = p, .size = size };
	return 0;
}

void backing_destroy(struct backing *backing)
{
	if (backing->hva)
		(void)munmap(backing->hva, backing->size);
	*backing = (struct backing){ 0 };
}
