/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory without a machine, and small kernels that a test may spoil before it
 * puts them into a file.
 */
#pragma once

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cc.h"
#include "mem/gmem.h"
#include "test.h"
#include "vmm/x86/layout.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* All of `size' bytes where the machine has them; what is not touched costs nothing. */
static inline struct gmem memory_of(uint64_t size)
{
	struct layout_ram ram = layout_ram(size);
	struct gmem mem = { 0 };
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (unsigned i = 0; i < ram.n; i++) {
		CHECK_EQ(gmem_add(&mem, ram.region[i].base, ram.region[i].size, p), 0);
		p += ram.region[i].size;
	}
	return mem;
}

static inline int file_of(const void *data, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), (ssize_t)len);
	return fd;
}

/* --- ELF: two segments, a note, and a gap between them ------------------------- */

enum {
	ELF_TEXT = 0x400, /* offsets in the file */
	ELF_DATA = 0x500,
	ELF_NOTES = 0x600,
	ELF_END = 0x700,
	ELF_ENTRY = 0x1000040,
	ELF_PVH_ENTRY = 0x1000080,
	ELF_NPHDRS = 3,
};

struct elf_note {
	Elf64_Nhdr head;
	char name[4];
	uint64_t desc;
};

struct elf {
	Elf64_Ehdr h;
	Elf64_Phdr text, data, notes; /* the table */
	uint8_t gap[ELF_TEXT - sizeof(Elf64_Ehdr) - ELF_NPHDRS * sizeof(Elf64_Phdr)];
	uint8_t text_bytes[ELF_DATA - ELF_TEXT];
	uint8_t data_bytes[ELF_NOTES - ELF_DATA];
	struct elf_note other, pvh; /* one that is not ours, and one that is */
	uint8_t tail[ELF_END - ELF_NOTES - 2 * sizeof(struct elf_note)];
};
static_assert(sizeof(struct elf) == ELF_END, "no padding");
static_assert(offsetof(struct elf, text_bytes) == ELF_TEXT, "no padding");
static_assert(offsetof(struct elf, other) == ELF_NOTES, "no padding");

/* With a PVH entry point; the caller copies it. */
static inline const struct elf *elf_good(void)
{
	static struct elf elf = {
		.h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_entry = ELF_ENTRY,
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = ELF_NPHDRS },
		.text = { .p_type = PT_LOAD,
			  .p_offset = ELF_TEXT,
			  .p_vaddr = UINT64_C(0xffffffff81000000),
			  .p_paddr = 0x1000000,
			  .p_filesz = 0x100,
			  .p_memsz = 0x100 },
		.data = { .p_type = PT_LOAD,
			  .p_offset = ELF_DATA,
			  .p_vaddr = UINT64_C(0xffffffff81200000),
			  .p_paddr = 0x1200000,
			  .p_filesz = 0x100,
			  .p_memsz = 0x3000 },
		.notes = { .p_type = PT_NOTE,
			   .p_offset = ELF_NOTES,
			   .p_filesz = 2 * sizeof(struct elf_note),
			   .p_align = 4 },
		.other = { { 4, 8, 3 }, "GNU", 0x1122334455667788 },
		.pvh = { { 4, 8, 18 }, "Xen", ELF_PVH_ENTRY },
	};

	memset(elf.text_bytes, 0x90, sizeof(elf.text_bytes));
	memset(elf.data_bytes, 0xda, sizeof(elf.data_bytes));
	return &elf;
}

/* --- bzImage: two setup sectors and 0x800 bytes of kernel ----------------------- */

enum { BZ_SETUP = 3 * 512, BZ_BODY = 0x800, BZ_SIZE = BZ_SETUP + BZ_BODY, BZ_INIT_SIZE = 0x10000 };

static inline void put_le(uint8_t *at, uint64_t value, unsigned len)
{
	memcpy(at, &value, len);
}

static inline void bz_make(uint8_t image[BZ_SIZE])
{
	memset(image, 0, BZ_SETUP);
	memset(image + BZ_SETUP, 0xb2, BZ_BODY);
	image[0x1f1] = 2;		  /* setup_sects */
	put_le(image + 0x1fe, 0xaa55, 2); /* boot_flag */
	image[0x201] = 0x66;		  /* the header ends at 0x202 + this */
	memcpy(image + 0x202, "HdrS", 4);
	put_le(image + 0x206, 0x020f, 2);    /* version */
	put_le(image + 0x230, 0x200000, 4);  /* kernel_alignment */
	image[0x234] = 1;		     /* relocatable_kernel */
	put_le(image + 0x236, 1, 2);	     /* xloadflags: XLF_KERNEL_64 */
	put_le(image + 0x258, 0x1000000, 8); /* pref_address */
	put_le(image + 0x260, BZ_INIT_SIZE, 4);
}
