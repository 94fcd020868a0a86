/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel finds in memory: zero page, PVH start info, memory map, entry state. */
#include "vmm/x86/boot.h"

#include <linux/kvm.h>

#include "conf/expect.h"
#include "image.h"
#include "vmm/x86/regs.h"

static struct gmem mem;

static uint64_t get(gpa_t at, unsigned len)
{
	uint64_t v = 0;

	CHECK_EQ(gmem_read(&mem, at, &v, len), 0);
	return v;
}

static void zeros(gpa_t from, gpa_t to)
{
	for (; from < to; from++)
		CHECK_EQ(get(from, 1), 0);
}

/* --- layout ---------------------------------------------------------------------- */

static void ram_is(uint64_t size, unsigned n, const uint64_t regions[][2])
{
	struct layout_ram ram = layout_ram(size);

	CHECK_EQ(ram.n, n);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(ram.region[i].base, regions[i][0]);
		CHECK_EQ(ram.region[i].size, regions[i][1]);
	}
}

TEST(regions_of_memory)
{
	const uint64_t k = 4096;

	ram_is(0, 0, NULL);
	ram_is(16 * MIB, 1, (uint64_t[][2]){ { 0, 16 * MIB } });
	ram_is(3 * GIB - k, 1, (uint64_t[][2]){ { 0, 3 * GIB - k } });
	ram_is(3 * GIB, 1, (uint64_t[][2]){ { 0, 3 * GIB } });
	ram_is(3 * GIB + k, 2, (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, k } });
	ram_is(255 * GIB - k, 2, (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, 252 * GIB - k } });
	ram_is(255 * GIB, 2, (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, 252 * GIB } });
	ram_is(255 * GIB + k, 3,
	       (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, 252 * GIB }, { 512 * GIB, k } });
	ram_is(256 * GIB, 3,
	       (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, 252 * GIB }, { 512 * GIB, GIB } });
	ram_is(1024 * GIB, 3,
	       (uint64_t[][2]){ { 0, 3 * GIB }, { 4 * GIB, 252 * GIB }, { 512 * GIB, 769 * GIB } });
}

/* --- zero page ----------------------------------------------------------------------- */

struct entry {
	uint64_t base, size;
	unsigned type;
};

enum { RAM = 1, RESERVED = 2 };
#define FIRST_ENTRIES                                        \
	{ 0, 0x9fc00, RAM }, { 0x9fc00, 0x40400, RESERVED }, \
	{                                                    \
		0xeec00000, 256 * MIB, RESERVED              \
	}

static const struct {
	uint64_t mem_size;
	unsigned n;
	struct entry entry[6];
} maps[] = {
	{ 128 * MIB, 4, { FIRST_ENTRIES, { MIB, 127 * MIB, RAM } } },
	{ 3 * GIB, 4, { FIRST_ENTRIES, { MIB, 3 * GIB - MIB, RAM } } },
	{ 4 * GIB, 5, { FIRST_ENTRIES, { MIB, 3 * GIB - MIB, RAM }, { 4 * GIB, GIB, RAM } } },
	{ 300 * GIB,
	  6,
	  { FIRST_ENTRIES,
	    { MIB, 3 * GIB - MIB, RAM },
	    { 4 * GIB, 252 * GIB, RAM },
	    { 512 * GIB, 45 * GIB, RAM } } },
};

static void write_boot(uint64_t mem_size, const struct kernel_image *kernel,
		       const struct initrd_image *initrd, const char *cmdline, gpa_t rsdp)
{
	const struct boot_cfg cfg = { .kernel = kernel,
				      .initrd = initrd,
				      .cmdline = cmdline,
				      .mem_size = mem_size,
				      .rsdp = rsdp };
	struct err e;

	mem = memory_of(mem_size);
	CHECK_EQ(boot_write(&mem, &cfg, &e), 0);
}

TEST(e820)
{
	const struct kernel_image kernel = { .entry = 0x1000000 };
	const struct initrd_image none = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
		write_boot(maps[i].mem_size, &kernel, &none, "x", 0xe0000);
		CHECK_EQ(get(0x7000 + 0x1e8, 1), maps[i].n);
		for (unsigned k = 0; k < maps[i].n; k++) {
			const struct entry *want = &maps[i].entry[k];
			gpa_t at = 0x7000 + 0x2d0 + 20 * k;

			CHECK_EQ(get(at, 8), want->base);
			CHECK_EQ(get(at + 8, 8), want->size);
			CHECK_EQ(get(at + 16, 4), want->type);
		}
		zeros(0x7000 + 0x2d0 + 20 * maps[i].n, 0x8000);
	}
}

TEST(zero_page_of_an_elf)
{
	const struct kernel_image kernel = { .entry = 0x1000000 };
	const struct initrd_image initrd = { .base = 0x7000000, .size = 0x123456 };
	char line[6];

	write_boot(128 * MIB, &kernel, &initrd, "hello", 0xe0000);
	CHECK_EQ(get(0x7070, 8), 0xe0000);    /* acpi_rsdp_addr */
	CHECK_EQ(get(0x71fe, 2), 0xaa55);     /* boot_flag */
	CHECK_EQ(get(0x7202, 4), 0x53726448); /* header */
	CHECK_EQ(get(0x7210, 1), 0xff);	      /* type_of_loader */
	CHECK_EQ(get(0x7218, 4), 0x7000000);  /* ramdisk_image */
	CHECK_EQ(get(0x721c, 4), 0x123456);   /* ramdisk_size */
	CHECK_EQ(get(0x7228, 4), 0x20000);    /* cmd_line_ptr */
	CHECK_EQ(get(0x7230, 4), 0x01000000); /* kernel_alignment */
	CHECK_EQ(get(0x7238, 4), 5);	      /* cmdline_size */
	CHECK_EQ(gmem_read(&mem, 0x20000, line, sizeof(line)), 0);
	CHECK(memcmp(line, "hello", sizeof(line)) == 0);
	zeros(0x7000, 0x7070);
	zeros(0x7078, 0x71e8);
	zeros(0x6000, 0x7000); /* no start info */
	write_boot(128 * MIB, &kernel, &(struct initrd_image){ 0 }, "", 0);
	CHECK_EQ(get(0x7070, 8), 0);
	CHECK_EQ(get(0x7218, 8), 0);
	CHECK_EQ(get(0x7238, 4), 0);
	CHECK_EQ(get(0x20000, 1), 0);
}

TEST(zero_page_of_a_bzimage)
{
	struct kernel_image kernel = { .entry = 0x1000200, .bzimage = true };
	uint8_t image[BZ_SIZE];

	bz_make(image);
	image[0x210] = 0x77; /* ours overrules it */
	kernel.setup_header_len = 0x77;
	memcpy(kernel.setup_header, image + 0x1f1, kernel.setup_header_len);
	write_boot(128 * MIB, &kernel, &(struct initrd_image){ 0 }, "x", 0xe0000);
	CHECK_EQ(get(0x71f1, 1), 2);
	CHECK_EQ(get(0x7202, 4), 0x53726448);
	CHECK_EQ(get(0x7206, 2), 0x020f);
	CHECK_EQ(get(0x7210, 1), 0xff);
	CHECK_EQ(get(0x7230, 4), 0x200000);
	CHECK_EQ(get(0x7258, 8), 0x1000000);
	CHECK_EQ(get(0x7260, 4), BZ_INIT_SIZE);
	/* A header longer than what we know is cut, not written over the memory map. */
	memset(kernel.setup_header, 0xee, sizeof(kernel.setup_header));
	kernel.setup_header_len = SETUP_HEADER_MAX;
	write_boot(128 * MIB, &kernel, &(struct initrd_image){ 0 }, "x", 0xe0000);
	CHECK_EQ(get(0x72d0, 8), 0);
	CHECK_EQ(get(0x71e8, 1), 4);
}

/* --- PVH --------------------------------------------------------------------------------- */

static const struct kernel_image pvh = { .protocol = KERNEL_PVH, .entry = 0x1000080 };

TEST(start_info)
{
	const struct initrd_image initrd = { .base = 0x7000000, .size = 0x123456 };

	write_boot(128 * MIB, &pvh, &initrd, "hello", 0xe0000);
	CHECK_EQ(get(0x6000, 4), 0x336ec578);
	CHECK_EQ(get(0x6004, 4), 1);	   /* version */
	CHECK_EQ(get(0x6008, 4), 0);	   /* flags */
	CHECK_EQ(get(0x600c, 4), 1);	   /* nr_modules */
	CHECK_EQ(get(0x6010, 8), 0x6040);  /* modlist_paddr */
	CHECK_EQ(get(0x6018, 8), 0x20000); /* cmdline_paddr */
	CHECK_EQ(get(0x6020, 8), 0xe0000); /* rsdp_paddr */
	CHECK_EQ(get(0x6028, 8), 0x7000);  /* memmap_paddr */
	CHECK_EQ(get(0x6030, 4), 4);	   /* memmap_entries */
	CHECK_EQ(get(0x6034, 4), 0);
	CHECK_EQ(get(0x6040, 8), 0x7000000); /* paddr */
	CHECK_EQ(get(0x6048, 8), 0x123456);  /* size */
	CHECK_EQ(get(0x6050, 8), 0);	     /* cmdline_paddr */
	CHECK_EQ(get(0x6058, 8), 0);
	CHECK_EQ(get(0x20000, 4), 0x6c6c6568); /* "hell" */
	zeros(0x6060, 0x7000);
	write_boot(128 * MIB, &pvh, &(struct initrd_image){ 0 }, "x", 0);
	CHECK_EQ(get(0x600c, 4), 0);
	CHECK_EQ(get(0x6010, 8), 0);
	CHECK_EQ(get(0x6020, 8), 0);
	zeros(0x6034, 0x7000);
}

TEST(pvh_memory_map)
{
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
		write_boot(maps[i].mem_size, &pvh, &(struct initrd_image){ 0 }, "x", 0);
		CHECK_EQ(get(0x6030, 4), maps[i].n);
		for (unsigned k = 0; k < maps[i].n; k++) {
			const struct entry *want = &maps[i].entry[k];
			gpa_t at = 0x7000 + 24 * k;

			CHECK_EQ(get(at, 8), want->base);
			CHECK_EQ(get(at + 8, 8), want->size);
			CHECK_EQ(get(at + 16, 4), want->type);
			CHECK_EQ(get(at + 20, 4), 0);
		}
		zeros(0x7000 + 24 * maps[i].n, 0x8000);
	}
}

TEST(too_little_memory)
{
	const struct boot_cfg cfg = { .kernel = &pvh,
				      .initrd = &(struct initrd_image){ 0 },
				      .cmdline = "x" };
	struct err e;

	mem = memory_of(0x20000);
	CHECK_EQ(boot_write(&mem, &cfg, &e), -EFAULT);
	expect_msg("boot", e.msg, "guest memory is too small for the boot structures");
	mem = memory_of(0x9000);
	CHECK_EQ(regs_write_tables(&mem, KERNEL_LINUX64, &e), -EFAULT);
	CHECK_EQ(regs_write_tables(&mem, KERNEL_PVH, &e), 0);
}

/* --- entry state ---------------------------------------------------------------------------- */

TEST(tables_for_long_mode)
{
	struct err e;

	mem = memory_of(16 * MIB);
	CHECK_EQ(regs_write_tables(&mem, KERNEL_LINUX64, &e), 0);
	CHECK_EQ(get(0x500, 8), 0);
	CHECK_EQ(get(0x508, 8), 0x00af9b000000ffff);
	CHECK_EQ(get(0x510, 8), 0x00cf93000000ffff);
	CHECK_EQ(get(0x518, 8), 0x008f8b000000ffff);
	CHECK_EQ(get(0x520, 8), 0);
	CHECK_EQ(get(0x9000, 8), 0xa003);
	CHECK_EQ(get(0xa000, 8), 0xb003);
	zeros(0x9008, 0xa000);
	zeros(0xa008, 0xb000);
	for (unsigned i = 0; i < 512; i++)
		CHECK_EQ(get(0xb000 + 8 * i, 8), 0x83 + i * 0x200000);
}

TEST(tables_for_protected_mode)
{
	struct err e;

	mem = memory_of(16 * MIB);
	CHECK_EQ(regs_write_tables(&mem, KERNEL_PVH, &e), 0);
	CHECK_EQ(get(0x500, 8), 0);
	CHECK_EQ(get(0x508, 8), 0x00cf9b000000ffff);
	CHECK_EQ(get(0x510, 8), 0x00cf93000000ffff);
	CHECK_EQ(get(0x518, 8), 0x00008b0000000067);
	CHECK_EQ(get(0x520, 8), 0);
	zeros(0x9000, 0xc000);
}

static void segment_is(const struct kvm_segment *s, unsigned selector, uint32_t limit,
		       unsigned type, bool code_or_data, bool l, bool db, bool g)
{
	CHECK_EQ(s->base, 0);
	CHECK_EQ(s->selector, selector);
	CHECK_EQ(s->limit, limit);
	CHECK_EQ(s->type, type);
	CHECK_EQ(s->s, code_or_data);
	CHECK_EQ(s->dpl, 0);
	CHECK_EQ(s->present, 1);
	CHECK_EQ(s->l, l);
	CHECK_EQ(s->db, db);
	CHECK_EQ(s->g, g);
}

static void data_segments(const struct kvm_sregs *s)
{
	const struct kvm_segment *data[] = { &s->ds, &s->es, &s->fs, &s->gs, &s->ss };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		segment_is(data[i], 0x10, UINT32_MAX, 3, true, false, true, true);
	CHECK_EQ(s->gdt.base, 0x500);
	CHECK_EQ(s->gdt.limit, 31);
	CHECK_EQ(s->idt.base, 0x520);
	CHECK_EQ(s->idt.limit, 7);
}

TEST(state_of_long_mode)
{
	const struct kernel_image kernel = { .entry = 0x1000000 };
	struct kvm_sregs s = { .cr0 = 0x60000010, .apic_base = 0xfee00900 };
	struct kvm_regs r;

	regs_entry(&kernel, &r, &s);
	CHECK_EQ(r.rip, 0x1000000);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.rsp, 0x8ff0);
	CHECK_EQ(r.rbp, 0x8ff0);
	CHECK_EQ(r.rsi, 0x7000);
	CHECK_EQ(r.rbx, 0);
	segment_is(&s.cs, 8, UINT32_MAX, 11, true, true, false, true);
	segment_is(&s.tr, 0x18, UINT32_MAX, 11, false, false, false, true);
	data_segments(&s);
	CHECK_EQ(s.cr0, 0xe0000011);
	CHECK_EQ(s.cr3, 0x9000);
	CHECK_EQ(s.cr4, 0x20);
	CHECK_EQ(s.efer, 0x500);
	CHECK_EQ(s.apic_base, 0xfee00900);
}

TEST(state_of_protected_mode)
{
	struct kvm_sregs s = { .cr0 = 0x60000010, .apic_base = 0xfee00900 };
	struct kvm_regs r;

	regs_entry(&pvh, &r, &s);
	CHECK_EQ(r.rip, 0x1000080);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.rbx, 0x6000);
	CHECK_EQ(r.rsp, 0);
	CHECK_EQ(r.rsi, 0);
	segment_is(&s.cs, 8, UINT32_MAX, 11, true, false, true, true);
	segment_is(&s.tr, 0x18, 0x67, 11, false, false, false, false);
	data_segments(&s);
	CHECK_EQ(s.cr0, 0x11);
	CHECK_EQ(s.cr3, 0);
	CHECK_EQ(s.cr4, 0);
	CHECK_EQ(s.efer, 0);
	CHECK_EQ(s.apic_base, 0xfee00900);
}
