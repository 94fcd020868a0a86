/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot mem=16,128,3072,3073,5120 */
/* The zero page and its memory map against the layout. */
#include "lib/payload.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static void check_entry(unsigned n, uint64_t addr, uint64_t size, uint32_t type)
{
	const struct e820_entry e = e820_get(n);

	CHECK_EQ(e.addr, addr);
	CHECK_EQ(e.size, size);
	CHECK_EQ(e.type, type);
}

static void check_map(uint64_t mem)
{
	const uint64_t low = mem < 3 * GIB ? mem : 3 * GIB;

	check_entry(0, 0, 0x9fc00, E820_RAM);
	check_entry(1, 0x9fc00, 0xe0000 - 0x9fc00, E820_RESERVED);
	check_entry(2, 0xeec00000, 256 * MIB, E820_RESERVED);
	check_entry(3, MIB, low - MIB, E820_RAM);
	if (mem > low)
		check_entry(4, 4 * GIB, mem - low, E820_RAM);
	CHECK_EQ(e820_count(), mem > low ? 5 : 4);
}

void payload(void)
{
	CHECK_EQ(boot_params, 0x7000);
	CHECK_EQ(read16(boot_params + BP_BOOT_FLAG), 0xaa55);
	CHECK_EQ(read32(boot_params + BP_HEADER), 0x53726448); /* "HdrS" */
	CHECK_EQ(read8(boot_params + BP_TYPE_OF_LOADER), 0xff);
	CHECK_EQ(read32(boot_params + BP_CMD_LINE_PTR), 0x20000);
	CHECK_EQ(read32(boot_params + BP_KERNEL_ALIGNMENT), 0x01000000);
	CHECK_EQ(read64(boot_params + BP_ACPI_RSDP_ADDR), 0xe0000);
	CHECK_EQ(read32(boot_params + BP_RAMDISK_SIZE), 0);
	CHECK(find(cmdline(), " pci=off"));
	check_map(cmdline_number("mem_mib") * MIB);
}
