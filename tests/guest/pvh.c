/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot mem=16,128,3073 */
/* Entry by PVH: processor, start info and memory map against the layout. */
#include "lib/pvh.h"

PVH_NOTE;

#define MIB (1ull << 20)
#define GIB (1ull << 30)
enum { CR0_PE = 1, CR0_ET = 16, EFLAGS_ONE = 2, PVH_MAGIC = 0x336ec578 };

static void check_processor(void)
{
	const uint64_t gdt = pvh_state.gdt.base;

	CHECK_EQ(pvh_state.ebx, 0x6000);
	CHECK_EQ(pvh_state.cr0, CR0_PE | CR0_ET);
	CHECK_EQ(pvh_state.cr4, 0);
	CHECK_EQ(pvh_state.efer, 0);
	CHECK_EQ(pvh_state.eflags, EFLAGS_ONE);
	CHECK_EQ(pvh_state.cs & 0xffff, 0x08);
	CHECK_EQ(pvh_state.ds & 0xffff, 0x10);
	CHECK_EQ(pvh_state.tr & 0xffff, 0x18);
	CHECK_EQ(pvh_state.gdt.limit, 31);
	CHECK_EQ(pvh_state.idt.base, 0x520);
	CHECK_EQ(pvh_state.idt.limit, 7);
	CHECK_EQ(read64(gdt), 0);
	CHECK_EQ(read64(gdt + 8), 0x00cf9b000000ffff);
	CHECK_EQ(read64(gdt + 16), 0x00cf93000000ffff);
	CHECK_EQ(gdt, 0x500); /* last, or the compiler sees a dereferenced constant */
}

static void check_entry(const struct pvh_map_entry *e, uint64_t addr, uint64_t size, uint32_t type)
{
	CHECK_EQ(e->addr, addr);
	CHECK_EQ(e->size, size);
	CHECK_EQ(e->type, type);
	CHECK_EQ(e->reserved, 0);
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (uint64_t)(*text++ - '0');
	return n;
}

void payload(void)
{
	const struct pvh_info *info = (const struct pvh_info *)(uint64_t)pvh_state.ebx;
	const struct pvh_map_entry *map = (const struct pvh_map_entry *)info->memmap;
	const char *mem_mib = find((const char *)info->cmdline, "mem_mib=");
	uint64_t mem, low;

	check_processor();
	CHECK_EQ(info->magic, PVH_MAGIC);
	CHECK_EQ(info->version, 1);
	CHECK_EQ(info->flags, 0);
	CHECK_EQ(info->nmodules, 0);
	CHECK_EQ(info->cmdline, 0x20000);
	CHECK_EQ(info->rsdp, 0xe0000);
	CHECK_EQ(info->memmap, 0x7000);
	CHECK(equal((const void *)info->rsdp, "RSD PTR ", 8));
	CHECK(mem_mib);
	mem = number(mem_mib + 8) * MIB;
	low = mem < 3 * GIB ? mem : 3 * GIB;
	check_entry(&map[0], 0, 0x9fc00, E820_RAM);
	check_entry(&map[1], 0x9fc00, 0xe0000 - 0x9fc00, E820_RESERVED);
	check_entry(&map[2], 0xeec00000, 256 * MIB, E820_RESERVED);
	check_entry(&map[3], MIB, low - MIB, E820_RAM);
	if (mem > low)
		check_entry(&map[4], 4 * GIB, mem - low, E820_RAM);
	CHECK_EQ(info->memmap_entries, mem > low ? 5 : 4);
}
