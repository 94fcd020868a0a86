/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel finds in memory: its command line and, as its boot protocol has it,
 * the zero page (Linux, struct boot_params) or the start info (PVH, struct
 * hvm_start_info), either with the memory map.
 *
 * Main thread, while no vCPU runs.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"
#include "vmm/loader.h"

struct boot_cfg {
	const struct kernel_image *kernel;
	const struct initrd_image *initrd;
	const char *cmdline; /* at most LAYOUT_CMDLINE_MAX bytes with the NUL */
	uint64_t mem_size;   /* bytes */
	gpa_t rsdp;	     /* 0: none */
};
must_check int boot_write(const struct gmem *mem, const struct boot_cfg *cfg, struct err *e);
