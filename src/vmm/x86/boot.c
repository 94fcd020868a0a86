/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/boot.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <string.h>

#include "vmm/x86/layout.h"

#define HDRS_MAGIC	 0x53726448 /* "HdrS" */
#define BOOT_FLAG	 0xaa55
#define LOADER_UNDEFINED 0xff
#define ELF_ALIGNMENT	 0x1000000
enum { E820_RAM = 1, E820_RESERVED = 2 };

static_assert(offsetof(struct boot_params, hdr) == SETUP_HEADER_OFFSET, "boot protocol");
static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

static void add_e820(struct boot_params *p, gpa_t base, uint64_t size, uint32_t type)
{
	p->e820_table[p->e820_entries++] =
		(struct boot_e820_entry){ .addr = base, .size = size, .type = type };
}

static void memory_map(struct boot_params *p, uint64_t mem_size)
{
	struct layout_ram ram = layout_ram(mem_size);

	add_e820(p, 0, LAYOUT_SYSTEM, E820_RAM);
	add_e820(p, LAYOUT_SYSTEM, LAYOUT_SYSTEM_END - LAYOUT_SYSTEM, E820_RESERVED);
	add_e820(p, LAYOUT_MMCONFIG, LAYOUT_MMCONFIG_SIZE, E820_RESERVED);
	for (unsigned i = 0; i < ram.n; i++) {
		gpa_t base = ram.region[i].base;
		gpa_t end = base + ram.region[i].size;

		if (base < LAYOUT_HIMEM)
			base = LAYOUT_HIMEM;
		if (end > base)
			add_e820(p, base, end - base, E820_RAM);
	}
}

static void setup_header(struct setup_header *h, const struct boot_cfg *cfg)
{
	const struct kernel_image *k = cfg->kernel;

	if (k->bzimage) {
		memcpy(h, k->setup_header,
		       k->setup_header_len < sizeof(*h) ? k->setup_header_len : sizeof(*h));
	} else {
		h->boot_flag = BOOT_FLAG;
		h->header = HDRS_MAGIC;
		h->kernel_alignment = ELF_ALIGNMENT;
	}
	h->type_of_loader = LOADER_UNDEFINED;
	h->cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	h->cmdline_size = (uint32_t)strlen(cfg->cmdline);
	h->ramdisk_image = (uint32_t)cfg->initrd->base;
	h->ramdisk_size = (uint32_t)cfg->initrd->size;
}

int boot_write(const struct gmem *mem, const struct boot_cfg *cfg, struct err *e)
{
	struct boot_params p = { 0 };

	setup_header(&p.hdr, cfg);
	p.acpi_rsdp_addr = cfg->rsdp;
	memory_map(&p, cfg->mem_size);
	if (gmem_write(mem, LAYOUT_CMDLINE, cfg->cmdline, strlen(cfg->cmdline) + 1) < 0 ||
	    gmem_write(mem, LAYOUT_ZERO_PAGE, &p, sizeof(p)) < 0)
		return err_set(e, ERR_INTERNAL, -EFAULT,
			       "guest memory is too small for the boot structures");
	return 0;
}
