/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels and initrds: what is loaded where, and what is refused by which name. */
#include "vmm/loader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "conf/expect.h"
#include "image.h"

enum { MEMORY_MIB = 32 };

static struct gmem mem;
static struct kernel_image kernel;

static int load(const void *data, size_t len, struct err *e)
{
	autoclose int fd = file_of(data, len);

	mem = memory_of(MEMORY_MIB * MIB);
	kernel = (struct kernel_image){ .entry = 1, .end = 1 };
	*e = (struct err){ 0 };
	return kernel_load(&mem, fd, &kernel, e);
}

static void refused(const void *data, size_t len, const char *what, const char *msg)
{
	struct err e;
	int r = load(data, len, &e);

	if (r == 0)
		fprintf(stderr, "# accepted: %s\n", what);
	CHECK(r < 0);
	CHECK_EQ(e.code, r);
	expect_msg(what, e.msg, msg);
	CHECK_EQ(kernel.entry, 1); /* untouched */
}

static bool memory_is(gpa_t at, uint8_t byte, size_t len)
{
	const uint8_t *p = gmem_hva(&mem, at, len);

	CHECK(p);
	while (len > 0 && *p == byte)
		p++, len--;
	return len == 0;
}

/* --- ELF ------------------------------------------------------------------- */

TEST(elf_by_pvh)
{
	struct elf elf = *elf_good();
	struct err e;

	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.protocol, KERNEL_PVH);
	CHECK_EQ(kernel.entry, ELF_PVH_ENTRY);
	CHECK_EQ(kernel.end, 0x1203000);
	CHECK(!kernel.bzimage);
	CHECK_EQ(kernel.setup_header_len, 0);
	CHECK(memory_is(0x1000000, 0x90, 0x100));
	CHECK(memory_is(0x1000100, 0, 0x1000));
	CHECK(memory_is(0x1200000, 0xda, 0x100));
	CHECK(memory_is(0x1200100, 0, 0x2f00));
	CHECK(memory_is(0, 0, 0x1000000));
}

TEST(elf_by_its_entry_point)
{
	struct elf elf = *elf_good();
	struct err e;

	elf.notes.p_type = PT_NULL;
	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.protocol, KERNEL_LINUX64);
	CHECK_EQ(kernel.entry, ELF_ENTRY);
	elf = *elf_good();
	elf.h.e_type = ET_DYN;
	memcpy(elf.pvh.name, "Xem", 4);
	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.protocol, KERNEL_LINUX64);
	elf = *elf_good();
	elf.pvh.head.n_type = 1; /* XEN_ELFNOTE_ENTRY */
	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.protocol, KERNEL_LINUX64);
}

TEST(elf_entry_points)
{
	static const struct {
		uint64_t entry;
		bool good;
	} table[] = {
		{ 0, false },	       { 0xffffff, false },   { 0x1000000, true },
		{ 0x10000ff, true },   { 0x1000100, false },  { 0x11fffff, false },
		{ 0x1200000, true },   { 0x1202fff, true },   { 0x1203000, false },
		{ UINT32_MAX, false }, { UINT64_MAX, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct elf elf = *elf_good();
		struct err e;

		elf.pvh.desc = table[i].entry;
		elf.h.e_entry = 0; /* nobody looks at it */
		if (table[i].good) {
			CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
			CHECK_EQ(kernel.entry, table[i].entry);
		} else {
			refused(&elf, sizeof(elf), "PVH entry",
				"ELF: the PVH entry note's address is *");
		}
		elf = *elf_good();
		elf.notes.p_type = PT_NULL;
		elf.h.e_entry = table[i].entry;
		if (table[i].good)
			CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
		else
			refused(&elf, sizeof(elf), "entry", "ELF: e_entry is in no loaded segment");
	}
}

TEST(elf_note_of_four_bytes)
{
	struct elf elf = *elf_good();
	struct err e;

	elf.pvh.head.n_descsz = 4;
	elf.pvh.desc |= UINT64_C(0xffffffff) << 32; /* not part of it */
	elf.notes.p_filesz -= 4;
	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.entry, ELF_PVH_ENTRY);
	elf.pvh.head.n_descsz = 8;
	elf.notes.p_filesz += 4;
	refused(&elf, sizeof(elf), "high", "ELF: the PVH entry note's address is above 4 GiB");
}

TEST(elf_notes_aligned_to_eight)
{
	struct elf elf = *elf_good();
	struct err e;

	/* A name of 5 bytes: its end is padded to 8, not to 16. */
	elf.notes.p_align = 8;
	elf.other.head.n_namesz = 5;
	elf.other.head.n_descsz = 4;
	CHECK_EQ(load(&elf, sizeof(elf), &e), -ENOEXEC);
	elf.other.head.n_namesz = 8;
	elf.other.head.n_descsz = 3;
	elf.pvh.head.n_namesz = 4;
	/* head 12, name 8, desc 3 -> 8: the next one begins at 28. */
	memmove((uint8_t *)&elf.other + 28, &elf.pvh, sizeof(elf.pvh));
	/* and its own name is padded to 8 */
	memmove((uint8_t *)&elf.other + 28 + 12 + 8, &(uint64_t){ ELF_PVH_ENTRY }, 8);
	elf.notes.p_filesz = 28 + 12 + 8 + 8;
	CHECK_EQ(load(&elf, sizeof(elf), &e), 0);
	CHECK_EQ(kernel.entry, ELF_PVH_ENTRY);
}

TEST(elf_many_empty_notes)
{
	enum { LEN = 65536 };
	static uint8_t image[ELF_END + LEN + 4];
	struct elf elf = *elf_good();
	struct err e;

	elf.notes.p_offset = ELF_END;
	elf.notes.p_filesz = LEN / 12 * 12;
	memcpy(image, &elf, sizeof(elf));
	CHECK_EQ(load(image, sizeof(image), &e), 0);
	CHECK_EQ(kernel.protocol, KERNEL_LINUX64);
	elf.notes.p_filesz = LEN; /* ends with 4 bytes that are no header */
	memcpy(image, &elf, sizeof(elf));
	refused(image, sizeof(image), "half a header",
		"ELF: a PT_NOTE segment ends inside a note's header");
	elf.notes.p_filesz = LEN + 1;
	memcpy(image, &elf, sizeof(elf));
	refused(image, sizeof(image), "too long",
		"ELF: p_filesz of a PT_NOTE segment is larger than 64 KiB");
	elf.notes.p_filesz = 0;
	memcpy(image, &elf, sizeof(elf));
	CHECK_EQ(load(image, sizeof(image), &e), 0);
}

/* One field of an ELF, by where it is and how long, set to a value. */
#define FIELD(member, value, msg)                                     \
	{                                                             \
#member " = " #value, offsetof(struct elf, member),   \
			sizeof(((struct elf *)0)->member), value, msg \
	}

#define OUT_OF_FILE "ELF: a segment (p_offset, p_filesz) ends beyond the file"
#define NO_ROOM	    "ELF: a segment (p_paddr *"
static const struct bad_field {
	const char *what;
	size_t at, len;
	uint64_t value;
	const char *msg;
} bad_fields[] = {
	FIELD(h.e_ident[0], 0, "neither an ELF vmlinux nor a bzImage"),
	FIELD(h.e_ident[4], ELFCLASS32, "ELF: e_ident[EI_CLASS] is not ELFCLASS64"),
	FIELD(h.e_ident[5], ELFDATA2MSB, "ELF: e_ident[EI_DATA] is not little-endian"),
	FIELD(h.e_machine, EM_AARCH64, "ELF: e_machine is not x86-64"),
	FIELD(h.e_type, ET_REL, "ELF: e_type is neither ET_EXEC nor ET_DYN"),
	FIELD(h.e_type, ET_CORE, "ELF: e_type is neither ET_EXEC nor ET_DYN"),
	FIELD(h.e_phentsize, 55, "ELF: e_phentsize is not 56"),
	FIELD(h.e_phentsize, 57, "ELF: e_phentsize is not 56"),
	FIELD(h.e_phentsize, 0, "ELF: e_phentsize is not 56"),
	FIELD(h.e_phnum, 0, "ELF: e_phnum is not within 1..64"),
	FIELD(h.e_phnum, 65, "ELF: e_phnum is not within 1..64"),
	FIELD(h.e_phnum, UINT16_MAX, "ELF: e_phnum is not within 1..64"),
	FIELD(h.e_phoff, ELF_END, "the file ends inside the ELF program headers (e_phoff)"),
	FIELD(h.e_phoff, ELF_END - 3 * 56 + 1, "the file ends inside the ELF program headers *"),
	FIELD(h.e_phoff, INT64_MAX, "the ELF program headers (e_phoff) cannot be read: *"),
	FIELD(h.e_phoff, UINT64_MAX, "the ELF program headers (e_phoff) cannot be read: *"),
	FIELD(text.p_filesz, 0x101, "ELF: p_filesz of a segment is larger than its p_memsz"),
	FIELD(text.p_filesz, UINT64_MAX, "ELF: p_filesz of a segment is larger than its p_memsz"),
	FIELD(text.p_offset, ELF_END - 0xff, OUT_OF_FILE),
	FIELD(text.p_offset, ELF_END + 1, OUT_OF_FILE),
	FIELD(text.p_offset, UINT64_MAX, OUT_OF_FILE),
	FIELD(text.p_offset, UINT64_MAX - 0xff, OUT_OF_FILE), /* wraps to 0 */
	FIELD(text.p_paddr, 0, "ELF: p_paddr of a segment is below 1 MiB"),
	FIELD(text.p_paddr, 0xfffff, "ELF: p_paddr of a segment is below 1 MiB"),
	FIELD(text.p_paddr, MEMORY_MIB *MIB, NO_ROOM),
	FIELD(text.p_paddr, MEMORY_MIB *MIB - 0xff, NO_ROOM),
	FIELD(text.p_paddr, UINT64_MAX, NO_ROOM),
	FIELD(text.p_paddr, UINT64_MAX - 0xff, NO_ROOM), /* ends at 2^64 */
	FIELD(data.p_memsz, MEMORY_MIB *MIB - 0x1200000 + 1, NO_ROOM),
	FIELD(data.p_memsz, UINT64_MAX, NO_ROOM),
	FIELD(data.p_memsz, UINT64_MAX - 0x1200000, NO_ROOM), /* wraps to the end */
	FIELD(data.p_paddr, 0x1000000, "ELF: two segments (p_paddr, p_memsz) overlap"),
	FIELD(data.p_paddr, 0x10000ff, "ELF: two segments (p_paddr, p_memsz) overlap"),
	FIELD(data.p_paddr, 0xffd001, "ELF: two segments (p_paddr, p_memsz) overlap"),
	FIELD(notes.p_offset, ELF_END + 1, "ELF: a PT_NOTE segment (p_offset, p_filesz) ends *"),
	FIELD(notes.p_offset, UINT64_MAX, "ELF: a PT_NOTE segment (p_offset, p_filesz) ends *"),
	FIELD(notes.p_filesz, 0x101, "ELF: a PT_NOTE segment (p_offset, p_filesz) ends *"),
	FIELD(notes.p_filesz, UINT64_MAX, "ELF: a PT_NOTE segment (p_offset, p_filesz) ends *"),
	FIELD(notes.p_filesz, 25, "ELF: a PT_NOTE segment ends inside a note's header"),
	FIELD(notes.p_filesz, 24 + 12 + 3, "ELF: n_namesz of a note reaches beyond its segment"),
	FIELD(notes.p_filesz, 24 + 16 + 7, "ELF: n_descsz of a note reaches beyond its segment"),
	FIELD(other.head.n_namesz, UINT32_MAX, "ELF: n_namesz of a note *"),
	FIELD(other.head.n_namesz, 37, "ELF: n_namesz of a note *"),
	FIELD(other.head.n_descsz, UINT32_MAX, "ELF: n_descsz of a note *"),
	FIELD(other.head.n_descsz, 33, "ELF: n_descsz of a note *"),
	FIELD(pvh.head.n_descsz, 0, "ELF: n_descsz of the PVH entry note is neither 4 nor 8"),
	FIELD(pvh.head.n_descsz, 7, "ELF: n_descsz of the PVH entry note is neither 4 nor 8"),
	FIELD(pvh.desc, UINT64_C(1) << 32, "ELF: the PVH entry note's address is above 4 GiB"),
};

TEST(elf_every_wrong_field_is_named)
{
	for (unsigned i = 0; i < ARRAY_SIZE(bad_fields); i++) {
		const struct bad_field *f = &bad_fields[i];
		struct elf elf = *elf_good();

		memcpy((uint8_t *)&elf + f->at, &f->value, f->len);
		refused(&elf, sizeof(elf), f->what, f->msg);
	}
}

/* The sum of offset and length wraps; the length alone is not what is wrong. */
TEST(elf_part_of_the_file_wraps)
{
	static const uint64_t lens[] = { UINT64_MAX, UINT64_MAX - ELF_DATA + 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		struct elf elf = *elf_good();

		elf.data.p_filesz = elf.data.p_memsz = lens[i];
		refused(&elf, sizeof(elf), "wraps", OUT_OF_FILE);
	}
}

TEST(elf_limits_hold_on_their_good_side)
{
	static const struct bad_field good[] = {
		FIELD(text.p_filesz, 0xff, NULL),
		FIELD(text.p_offset, ELF_END - 0x100, NULL),
		FIELD(text.p_paddr, 0x100000, NULL), /* then e_entry is elsewhere */
		FIELD(data.p_memsz, MEMORY_MIB * MIB - 0x1200000, NULL),
		FIELD(data.p_paddr, 0x1000100, NULL),
		FIELD(data.p_paddr, 0xffd000, NULL),
		FIELD(data.p_memsz, 0x100, NULL),
		FIELD(h.e_phnum, 2, NULL),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		const struct bad_field *f = &good[i];
		struct elf elf = *elf_good();
		struct err e;
		int r;

		memcpy((uint8_t *)&elf + f->at, &f->value, f->len);
		if (elf.text.p_paddr == 0x100000)
			elf.pvh.desc = 0x1200000;
		r = load(&elf, sizeof(elf), &e);
		if (r < 0)
			fprintf(stderr, "# %s: %s\n", f->what, e.msg);
		CHECK_EQ(r, 0);
	}
}

TEST(elf_without_memory_for_it)
{
	struct elf elf = *elf_good();

	elf.data.p_memsz = 0; /* then it is as if it were not there */
	elf.data.p_filesz = 0;
	elf.data.p_paddr = 0;
	elf.text.p_memsz = 0;
	elf.text.p_filesz = 0;
	refused(&elf, sizeof(elf), "nothing to load",
		"ELF: the PVH entry note's address is in no loaded segment");
}

TEST(elf_truncated_everywhere)
{
	struct elf elf = *elf_good();
	const size_t last = ELF_NOTES + 2 * sizeof(struct elf_note);
	struct err e;

	CHECK_EQ(load(&elf, last, &e), 0);
	for (size_t len = 0; len < last; len++) {
		int r = load(&elf, len, &e);

		if (r == 0)
			fprintf(stderr, "# accepted %zu bytes\n", len);
		CHECK(r < 0);
		CHECK(e.msg[0] != '\0');
		/* The memory of one turn is 32 MiB of address space. */
		(void)munmap(mem.region[0].hva, mem.region[0].size);
	}
}

/* --- bzImage ------------------------------------------------------------------ */

TEST(bzimage_at_its_preferred_address)
{
	uint8_t image[BZ_SIZE];
	struct err e;

	bz_make(image);
	CHECK_EQ(load(image, sizeof(image), &e), 0);
	CHECK(kernel.bzimage);
	CHECK_EQ(kernel.protocol, KERNEL_LINUX64);
	CHECK_EQ(kernel.entry, 0x1000200);
	CHECK_EQ(kernel.end, 0x1000000 + BZ_INIT_SIZE);
	CHECK_EQ(kernel.setup_header_len, 0x202 + 0x66 - 0x1f1);
	CHECK(memcmp(kernel.setup_header, image + 0x1f1, kernel.setup_header_len) == 0);
	CHECK(memory_is(0x1000000, 0xb2, BZ_BODY));
	CHECK(memory_is(0x1000000 + BZ_BODY, 0, 0x1000));
}

static struct err bz_load(unsigned at, uint64_t value, unsigned len, int *ret_r)
{
	uint8_t image[BZ_SIZE];
	struct err e;

	bz_make(image);
	put_le(image + at, value, len);
	*ret_r = load(image, sizeof(image), &e);
	return e;
}

TEST(bzimage_moves_when_it_may)
{
	static const uint64_t low[] = { 0, 0xff000 };
	uint8_t image[BZ_SIZE];
	struct err e;
	int r;

	bz_load(0x258, MEMORY_MIB * MIB - BZ_INIT_SIZE, 8, &r);
	CHECK_EQ(r, 0);
	CHECK_EQ(kernel.end, MEMORY_MIB * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		bz_load(0x258, low[i], 8, &r);
		CHECK_EQ(r, 0);
		CHECK_EQ(kernel.entry, 0x100200);
		bz_make(image);
		image[0x234] = 0;
		put_le(image + 0x258, low[i], 8);
		CHECK_EQ(load(image, sizeof(image), &e), -ENOMEM);
		expect_msg("fixed", e.msg, "bzImage: init_size 0x10000 at pref_address *");
	}
}

/* Wherever it is loaded, the decompressor works at the preferred address. */
TEST(bzimage_that_may_move_needs_memory_where_it_works)
{
	static const uint64_t wrong[] = { MEMORY_MIB * MIB - BZ_INIT_SIZE + 4096, 0x1000001,
					  UINT64_MAX, UINT64_MAX & ~UINT64_C(4095) };

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		int r;
		struct err e = bz_load(0x258, wrong[i], 8, &r);

		CHECK_EQ(r, -ENOMEM);
		expect_msg("moving", e.msg, "bzImage: init_size 0x10000 at pref_address *");
	}
}

TEST(bzimage_every_wrong_field_is_named)
{
	static const struct {
		unsigned at, len;
		uint64_t value;
		const char *msg;
	} table[] = {
		{ 0x1fe, 2, 0xaa54, "neither an ELF vmlinux nor a bzImage" },
		{ 0x202, 4, 0x53726447, "neither an ELF vmlinux nor a bzImage" },
		{ 0x206, 2, 0x020b, "bzImage: boot protocol older than 2.12" },
		{ 0x236, 2, 0, "bzImage does not provide a 64-bit entry point" },
		{ 0x236, 2, 0xfffe, "bzImage does not provide a 64-bit entry point" },
		{ 0x1f1, 1, 6, "bzImage: setup_sects reaches beyond the file" },
		{ 0x1f1, 1, 255, "bzImage: setup_sects reaches beyond the file" },
		{ 0x1f1, 1, 5, "bzImage: the file ends before the 64-bit entry point" },
		{ 0x260, 4, (MEMORY_MIB - 16) * MIB + 1, "bzImage: init_size *" },
		{ 0x260, 4, UINT32_MAX, "bzImage: init_size 0xffffffff at *" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		int r;
		struct err e = bz_load(table[i].at, table[i].value, table[i].len, &r);

		CHECK(r < 0);
		expect_msg("bzImage", e.msg, table[i].msg);
	}
}

TEST(bzimage_good_sides)
{
	int r;

	bz_load(0x206, 0x020c, 2, &r);
	CHECK_EQ(r, 0);
	bz_load(0x1f1, 0, 1, &r); /* means 4 */
	CHECK_EQ(r, 0);
	CHECK(memory_is(0x1000000, 0xb2, BZ_BODY - 1024));
	CHECK(memory_is(0x1000000 + BZ_BODY - 1024, 0, 1024));
	bz_load(0x260, 0, 4, &r); /* the image itself counts then */
	CHECK_EQ(r, 0);
	CHECK_EQ(kernel.end, 0x1000000 + BZ_BODY);
	bz_load(0x260, (MEMORY_MIB - 16) * MIB, 4, &r);
	CHECK_EQ(r, 0);
	CHECK_EQ(kernel.entry, 0x1000200);
	bz_load(0x201, 255, 1, &r);
	CHECK_EQ(r, 0);
	CHECK_EQ(kernel.setup_header_len, SETUP_HEADER_MAX);
	bz_load(0x201, 0, 1, &r);
	CHECK_EQ(r, 0);
	CHECK_EQ(kernel.setup_header_len, 0x11);
}

TEST(bzimage_truncated_everywhere)
{
	uint8_t image[BZ_SIZE];
	const size_t least = BZ_SETUP + 0x201; /* one byte of 64-bit code */
	struct err e;

	bz_make(image);
	CHECK_EQ(load(image, least, &e), 0);
	for (size_t len = 0; len < least; len++) {
		CHECK(load(image, len, &e) < 0);
		CHECK(e.msg[0] != '\0');
		(void)munmap(mem.region[0].hva, mem.region[0].size);
	}
}

/* --- files that are none --------------------------------------------------------- */

TEST(not_a_kernel)
{
	uint8_t junk[4096];

	memset(junk, 0x5a, sizeof(junk));
	refused(junk, sizeof(junk), "junk", "neither an ELF vmlinux nor a bzImage");
	refused(junk, 0, "empty", "the file ends inside its first four bytes");
	refused(junk, 3, "3 bytes", "the file ends inside its first four bytes");
	refused("\x7f"
		"ELF",
		4, "magic", "the file ends inside the ELF header");
	refused("#!/bin/sh\n", 10, "script", "the file ends inside the setup header");
}

static void both_refuse(int fd, const char *msg)
{
	struct initrd_image initrd;
	struct err e = { 0 };

	CHECK(fd >= 0);
	mem = memory_of(MEMORY_MIB * MIB);
	CHECK(kernel_load(&mem, fd, &kernel, &e) < 0);
	expect_msg("kernel", e.msg, msg);
	CHECK(initrd_load(&mem, fd, 0, &initrd, &e) < 0);
	expect_msg("initrd", e.msg, msg);
}

TEST(not_a_regular_file)
{
	int pipes[2];

	CHECK_EQ(pipe(pipes), 0);
	both_refuse(pipes[0], "not a regular file");
	both_refuse(open("/dev/zero", O_RDONLY), "not a regular file");
	both_refuse(open("/", O_RDONLY | O_DIRECTORY), "not a regular file");
	/* Open for writing only: neither can be read. */
	struct elf elf = *elf_good();
	autoclose int fd = file_of(&elf, sizeof(elf));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	autoclose int blind = open(path, O_WRONLY);
	struct initrd_image initrd;
	struct err e;

	CHECK(blind >= 0);
	CHECK_EQ(kernel_load(&mem, blind, &kernel, &e), -EBADF);
	expect_msg("blind", e.msg, "its first four bytes cannot be read: Bad file descriptor");
	CHECK_EQ(initrd_load(&mem, blind, 0, &initrd, &e), -EBADF);
	expect_msg("blind", e.msg, "the initrd cannot be read: Bad file descriptor");
}

TEST(a_kernel_can_be_loaded_again)
{
	struct elf elf = *elf_good();
	autoclose int fd = file_of(&elf, sizeof(elf));

	for (unsigned i = 0; i < 2; i++) {
		struct err e;

		mem = memory_of(MEMORY_MIB * MIB);
		CHECK_EQ(lseek(fd, 17, SEEK_SET), 17);
		CHECK_EQ(kernel_load(&mem, fd, &kernel, &e), 0);
	}
}

TEST(out_of_memory_for_notes)
{
	struct elf elf = *elf_good();
	struct err e;

	if (!faults_work())
		SKIP("this build has no fault points");
	fault_arm(0);
	CHECK_EQ(load(&elf, sizeof(elf), &e), -ENOMEM);
	expect_msg("notes", e.msg, "ELF notes: out of memory");
}

/* --- initrd ------------------------------------------------------------------------ */

static int load_initrd(uint64_t mem_size, uint64_t size, gpa_t floor, struct initrd_image *initrd,
		       struct err *e)
{
	autoclose int fd = file_of("ab", 2);

	mem = memory_of(mem_size);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	*e = (struct err){ 0 };
	*initrd = (struct initrd_image){ 1, 1 };
	return initrd_load(&mem, fd, floor, initrd, e);
}

TEST(initrd_goes_to_the_top)
{
	struct initrd_image initrd;
	struct err e;

	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, 4097, 0x1200000, &initrd, &e), 0);
	CHECK_EQ(initrd.base, MEMORY_MIB * MIB - 8192);
	CHECK_EQ(initrd.size, 4097);
	CHECK(memcmp(gmem_hva(&mem, initrd.base, 2), "ab", 2) == 0);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, 4096, 0x1200000, &initrd, &e), 0);
	CHECK_EQ(initrd.base, MEMORY_MIB * MIB - 4096);
	CHECK_EQ(load_initrd(5 * GIB, 4096, 0x1200000, &initrd, &e), 0);
	CHECK_EQ(initrd.base, 3 * GIB - 4096);
}

TEST(initrd_fits_or_not)
{
	struct initrd_image initrd;
	struct err e;
	const uint64_t room = 2 * MIB;
	const gpa_t floor = MEMORY_MIB * MIB - room;

	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room, floor, &initrd, &e), 0);
	CHECK_EQ(initrd.base, floor);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room, floor - 4095, &initrd, &e), 0);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room, floor + 1, &initrd, &e), -ENOMEM);
	CHECK_EQ(initrd.base, 1);
	/* It begins with a page, and that page is not the kernel's last. */
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room - 1, floor + 1, &initrd, &e), -ENOMEM);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room - 4096, floor + 1, &initrd, &e), 0);
	CHECK_EQ(initrd.base, floor + 4096);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, room + 1, floor, &initrd, &e), -ENOMEM);
	expect_msg("initrd", e.msg,
		   "2097153 bytes do not fit between the kernel's end at 0x1e00000 and the end of "
		   "low memory; raise mem_size_mib");
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, 1, MEMORY_MIB * MIB, &initrd, &e), -ENOMEM);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, 1, UINT64_MAX, &initrd, &e), -ENOMEM);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, UINT64_C(1) << 42, 0, &initrd, &e), -ENOMEM);
	CHECK_EQ(load_initrd(MEMORY_MIB * MIB, 0, 0, &initrd, &e), -ENOEXEC);
	expect_msg("empty", e.msg, "the file is empty");
}
