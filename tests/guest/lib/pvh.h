/* SPDX-License-Identifier: Apache-2.0 */
/* What a payload finds that is entered by PVH (Xen, docs/misc/pvh). */
#pragma once

#include "payload.h"

/* The note that makes a payload a PVH kernel: XEN_ELFNOTE_PHYS32_ENTRY. */
#define PVH_NOTE                                                    \
	__asm__(".pushsection .note.Xen, \"a\", @note\n"            \
		".long 4, 4, 18\n.asciz \"Xen\"\n.long pvh_start\n" \
		".popsection")

struct pvh_table_register {
	uint16_t limit;
	uint32_t base;
	uint16_t unused;
} __attribute__((packed));

extern const struct pvh_state { /* when the first instruction ran; filled by pvh.S */
	uint32_t eax, ebx, cr0, cr4, efer, eflags, cs, ds, tr;
	struct pvh_table_register gdt, idt;
} __attribute__((packed)) pvh_state;

struct pvh_info {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct pvh_map_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};
