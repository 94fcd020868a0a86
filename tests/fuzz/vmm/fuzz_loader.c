/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a kernel's file, and an initrd's: loaded into 32 MiB of memory. What is
 * accepted lies in that memory, and what is refused says why.
 */
#include "../ensure.h"
#include <string.h>
#include <sys/mman.h>

#include "vmm/loader.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t mem_size = UINT64_C(32) << 20;

/* Beside a page of nothing, so that a write beyond the end is seen. */
static void *map_memory(void)
{
	uint8_t *p = mmap(NULL, mem_size + 4096, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r;

	ENSURE(p != MAP_FAILED);
	r = mprotect(p, mem_size, PROT_READ | PROT_WRITE);
	ENSURE(r == 0);
	return p;
}

static void check_kernel(const struct kernel_image *k)
{
	ENSURE(k->end > LAYOUT_HIMEM && k->end <= mem_size);
	ENSURE(k->entry >= LAYOUT_HIMEM && k->entry < k->end);
	ENSURE(k->setup_header_len <= SETUP_HEADER_MAX);
	ENSURE(k->bzimage || k->setup_header_len == 0);
	ENSURE(!k->bzimage || k->protocol == KERNEL_LINUX64);
}

static void check_initrd(const struct initrd_image *initrd, gpa_t floor, size_t size)
{
	ENSURE(initrd->size == size && size > 0);
	ENSURE(initrd->base >= floor && initrd->base % 4096 == 0);
	ENSURE(initrd->base <= mem_size - size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gmem mem;
	static int fd = -1;
	struct kernel_image kernel = { .end = LAYOUT_HIMEM };
	struct initrd_image initrd = { 0 };
	struct err e = { 0 };
	int r;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		r = gmem_add(&mem, 0, mem_size, map_memory());
		ENSURE(fd >= 0 && r == 0);
	}
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0; /* the host's memory is full */
	r = kernel_load(&mem, fd, &kernel, &e);
	if (r == 0)
		check_kernel(&kernel);
	else
		ENSURE(e.code == r && e.msg[0] && kernel.end == LAYOUT_HIMEM);
	r = initrd_load(&mem, fd, kernel.end, &initrd, &e);
	if (r == 0)
		check_initrd(&initrd, kernel.end, size);
	else
		ENSURE(e.code == r && e.msg[0] && initrd.size == 0);
	if (kernel.entry) {
		const struct boot_cfg boot = { .kernel = &kernel,
					       .initrd = &initrd,
					       .cmdline = "console=ttyS0",
					       .mem_size = mem_size };

		r = boot_write(&mem, &boot, &e);
		ENSURE(r == 0);
	}
	return 0;
}
