/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel and initrd: from files that nobody trusts into guest memory.
 *
 * Two kernel formats: an ELF64 vmlinux, entered by PVH if a note of it says where,
 * else at e_entry, and a bzImage (boot protocol 2.12 or later), entered at its 64-bit
 * entry point. The file's magic decides. A wrong file gives an error that names the
 * field; nothing is executed, allocated or read beyond what was checked.
 *
 * Main thread, while no vCPU runs. Files are read by position, so a descriptor can
 * be loaded from again.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/* Linux/x86 boot protocol: the setup header stands at this offset of the zero page. */
#define SETUP_HEADER_OFFSET 0x1f1
#define SETUP_HEADER_MAX    (0x290 - SETUP_HEADER_OFFSET)

enum kernel_protocol {
	KERNEL_LINUX64, /* 64-bit Linux boot protocol: long mode, zero page */
	KERNEL_PVH,	/* Xen's PVH: 32-bit protected mode, no paging, start info */
};

struct kernel_image {
	enum kernel_protocol protocol;
	gpa_t entry;
	gpa_t end; /* first address above what the kernel needs */
	bool bzimage;
	/* Of a bzImage, else zero. */
	uint8_t setup_header[SETUP_HEADER_MAX];
	unsigned setup_header_len;
};

struct initrd_image {
	gpa_t base;
	uint64_t size; /* 0: none */
};

must_check int kernel_load(const struct gmem *mem, int fd, struct kernel_image *ret_kernel,
			   struct err *e);

/* At the top of the first region of memory, above `floor' (the kernel's end). */
must_check int initrd_load(const struct gmem *mem, int fd, gpa_t floor,
			   struct initrd_image *ret_initrd, struct err *e);
