/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/boot.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <string.h>

#include "vmm/x86/layout.h"
#include "vmm/x86/seed.h"

#define HDRS_MAGIC	 0x53726448 /* "HdrS" */
#define BOOT_FLAG	 0xaa55
#define LOADER_UNDEFINED 0xff
#define ELF_ALIGNMENT	 0x1000000

static_assert(offsetof(struct boot_params, hdr) == SETUP_HEADER_OFFSET, "boot protocol");
static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

/* Both protocols have a table of this, and the same numbers for the types. */
enum { MAP_RAM = 1, MAP_RESERVED = 2 };
struct map {
	unsigned n;
	struct {
		gpa_t base;
		uint64_t size;
		uint32_t type;
	} entry[3 + ARRAY_SIZE(((struct layout_ram *)0)->region)];
};

static void add_entry(struct map *map, gpa_t base, uint64_t size, uint32_t type)
{
	map->entry[map->n].base = base;
	map->entry[map->n].size = size;
	map->entry[map->n++].type = type;
}

static struct map memory_map(uint64_t mem_size)
{
	struct layout_ram ram = layout_ram(mem_size);
	struct map map = { 0 };

	add_entry(&map, 0, LAYOUT_SYSTEM, MAP_RAM);
	add_entry(&map, LAYOUT_SYSTEM, LAYOUT_SYSTEM_END - LAYOUT_SYSTEM, MAP_RESERVED);
	add_entry(&map, LAYOUT_MMCONFIG, LAYOUT_MMCONFIG_SIZE, MAP_RESERVED);
	for (unsigned i = 0; i < ram.n; i++) {
		gpa_t base = ram.region[i].base;
		gpa_t end = base + ram.region[i].size;

		if (base < LAYOUT_HIMEM)
			base = LAYOUT_HIMEM;
		if (end > base)
			add_entry(&map, base, end - base, MAP_RAM);
	}
	return map;
}

/* --- 64-bit Linux boot protocol --------------------------------------------- */

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
	h->setup_data = LAYOUT_RNG_SEED;
}

static int write_zero_page(const struct gmem *mem, const struct boot_cfg *cfg)
{
	struct map map = memory_map(cfg->mem_size);
	struct boot_params p = { 0 };

	setup_header(&p.hdr, cfg);
	p.acpi_rsdp_addr = cfg->rsdp;
	p.e820_entries = (uint8_t)map.n;
	for (unsigned i = 0; i < map.n; i++)
		p.e820_table[i] = (struct boot_e820_entry){ .addr = map.entry[i].base,
							    .size = map.entry[i].size,
							    .type = map.entry[i].type };
	return gmem_write(mem, LAYOUT_ZERO_PAGE, &p, sizeof(p));
}

/* --- PVH -------------------------------------------------------------------- */

#define PVH_MAGIC 0x336ec578 /* "xEn3" with the 0x80 bit of the "E" set */
enum { PVH_VERSION = 1 };

struct pvh_info { /* Xen, public/arch-x86/hvm/start_info.h */
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nmodules;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap; /* this and what follows since version 1 */
	uint32_t memmap_entries;
	uint32_t reserved;
};
static_assert(sizeof(struct pvh_info) == 56, "the layout is an interface");
static_assert(LAYOUT_PVH_MODULES - LAYOUT_PVH_INFO >= sizeof(struct pvh_info), "no overlap");

struct pvh_module {
	uint64_t base;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct pvh_map_entry {
	uint64_t base;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

static int write_pvh_info(const struct gmem *mem, const struct boot_cfg *cfg)
{
	const struct map map = memory_map(cfg->mem_size);
	const struct pvh_module initrd = { .base = cfg->initrd->base, .size = cfg->initrd->size };
	const struct pvh_info info = {
		.magic = PVH_MAGIC,
		.version = PVH_VERSION,
		.nmodules = initrd.size > 0,
		.modules = initrd.size > 0 ? LAYOUT_PVH_MODULES : 0,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = cfg->rsdp,
		.memmap = LAYOUT_PVH_MEMMAP,
		.memmap_entries = map.n,
	};
	struct pvh_map_entry entry[ARRAY_SIZE(map.entry)] = { 0 };
	int r = gmem_write(mem, LAYOUT_PVH_INFO, &info, sizeof(info));

	for (unsigned i = 0; i < map.n; i++)
		entry[i] = (struct pvh_map_entry){ .base = map.entry[i].base,
						   .size = map.entry[i].size,
						   .type = map.entry[i].type };
	if (r == 0 && initrd.size > 0)
		r = gmem_write(mem, LAYOUT_PVH_MODULES, &initrd, sizeof(initrd));
	if (r == 0)
		r = gmem_write(mem, LAYOUT_PVH_MEMMAP, entry, map.n * sizeof(entry[0]));
	return r;
}

int boot_write(const struct gmem *mem, const struct boot_cfg *cfg, struct err *e)
{
	int r = cfg->kernel->protocol == KERNEL_PVH ? 0 : seed_write(mem, e);

	if (r < 0)
		return r;
	r = gmem_write(mem, LAYOUT_CMDLINE, cfg->cmdline, strlen(cfg->cmdline) + 1);
	if (r == 0)
		r = cfg->kernel->protocol == KERNEL_PVH ? write_pvh_info(mem, cfg)
							: write_zero_page(mem, cfg);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "guest memory is too small for the boot structures");
	return 0;
}
