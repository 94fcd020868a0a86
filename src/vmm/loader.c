/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/loader.h"

#include <elf.h>
#include <linux/types.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "mem/gmem.h"
#include "vmm/x86/layout.h"

enum { PHDRS_MAX = 64, NOTES_MAX = 65536, PAGE = 4096, SECTOR = 512 };

/* Xen, public/elfnote.h: the 32-bit physical address of a PVH kernel's entry point. */
#define XEN_NAME "Xen"
enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };

/* Linux/x86 boot protocol, "The Real-Mode Kernel Header": offsets in the file. */
enum {
	HDR_SETUP_SECTS = 0x1f1,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP_LEN = 0x201, /* the header ends 0x202 + this byte */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END = 0x264,
};
#define BOOT_FLAG     0xaa55
#define PROTOCOL_2_12 0x020c
#define XLF_KERNEL_64 1
#define ENTRY_64      0x200 /* of the 64-bit entry point in the loaded image */

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, -ENOEXEC, "%s", what);
}

/* Whole range or an error; a file may end or fail at any byte. */
static int read_file(int fd, void *buf, size_t len, uint64_t off, const char *what, struct err *e)
{
	uint8_t *to = buf;

	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;

			return err_set(e, ERR_INVALID, r, "%s cannot be read: %s", what,
				       strerror(-r));
		}
		if (n == 0)
			return err_set(e, ERR_INVALID, -ENOEXEC, "the file ends inside %s", what);
		to += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* File contents straight into guest memory; the file's bounds were checked. */
static int read_into(const struct gmem *mem, gpa_t gpa, int fd, uint64_t len, uint64_t off,
		     const char *what, struct err *e)
{
	struct iovec iov[GMEM_MAX_REGIONS];
	unsigned n = 0;

	if (gmem_iov(mem, gpa, len, iov, ARRAY_SIZE(iov), &n) < 0)
		return err_set(e, ERR_INVALID, -ENOMEM,
			       "%s (%llu bytes at %#llx) does not fit into guest memory", what,
			       (unsigned long long)len, (unsigned long long)gpa);
	for (unsigned i = 0; i < n; i++) {
		int r = read_file(fd, iov[i].iov_base, iov[i].iov_len, off, what, e);

		if (r < 0)
			return r;
		off += iov[i].iov_len;
	}
	return 0;
}

static int file_size(int fd, uint64_t *ret_size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "fstat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return bad(e, "not a regular file");
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* --- ELF ------------------------------------------------------------------ */

static int check_ehdr(const Elf64_Ehdr *h, struct err *e)
{
	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return bad(e, "ELF: e_ident[EI_CLASS] is not ELFCLASS64");
	if (h->e_ident[EI_DATA] != ELFDATA2LSB)
		return bad(e, "ELF: e_ident[EI_DATA] is not little-endian");
	if (h->e_machine != EM_X86_64)
		return bad(e, "ELF: e_machine is not x86-64");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return bad(e, "ELF: e_type is neither ET_EXEC nor ET_DYN");
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return bad(e, "ELF: e_phentsize is not 56");
	if (h->e_phnum == 0 || h->e_phnum > PHDRS_MAX)
		return bad(e, "ELF: e_phnum is not within 1..64");
	return 0;
}

static bool segment_holds(const Elf64_Phdr *p, gpa_t gpa)
{
	return p->p_type == PT_LOAD && gpa >= p->p_paddr && gpa - p->p_paddr < p->p_memsz;
}

/* One PT_LOAD segment. What is in memory beyond the file's part is zero already. */
static int load_segment(const struct gmem *mem, int fd, const Elf64_Phdr *p, uint64_t size,
			struct err *e)
{
	if (p->p_filesz > p->p_memsz)
		return bad(e, "ELF: p_filesz of a segment is larger than its p_memsz");
	if (p->p_offset > size || p->p_filesz > size - p->p_offset)
		return bad(e, "ELF: a segment (p_offset, p_filesz) ends beyond the file");
	if (p->p_paddr < LAYOUT_HIMEM)
		return bad(e, "ELF: p_paddr of a segment is below 1 MiB");
	if (!gmem_hva(mem, p->p_paddr, p->p_memsz))
		return err_set(
			e, ERR_INVALID, -ENOMEM,
			"ELF: a segment (p_paddr %#llx, p_memsz %#llx) does not fit into guest "
			"memory",
			(unsigned long long)p->p_paddr, (unsigned long long)p->p_memsz);
	return read_into(mem, p->p_paddr, fd, p->p_filesz, p->p_offset, "an ELF segment", e);
}

/* One part of a note, which begins at *at: taken if it lies within the segment. */
static const uint8_t *note_part(const uint8_t *notes, uint64_t len, uint64_t *at, uint64_t part,
				uint64_t align)
{
	const uint8_t *here;

	if (*at > len || part > len - *at)
		return NULL;
	here = notes + *at;
	*at += (part + align - 1) & ~(align - 1);
	return here;
}

/*
 * The address in the PVH entry note of a segment's notes. Every turn of the loop goes
 * on by a note's header at least. 1: there is one; 0: none.
 */
static int find_pvh_note(const uint8_t *notes, uint64_t len, uint64_t align, gpa_t *ret_entry,
			 struct err *e)
{
	uint64_t at = 0;

	while (at < len) {
		const uint8_t *head = note_part(notes, len, &at, sizeof(Elf64_Nhdr), 4);
		const uint8_t *name, *desc;
		gpa_t entry = 0;
		Elf64_Nhdr n;

		if (!head)
			return bad(e, "ELF: a PT_NOTE segment ends inside a note's header");
		memcpy(&n, head, sizeof(n));
		name = note_part(notes, len, &at, n.n_namesz, align);
		if (!name)
			return bad(e, "ELF: n_namesz of a note reaches beyond its segment");
		desc = note_part(notes, len, &at, n.n_descsz, align);
		if (!desc)
			return bad(e, "ELF: n_descsz of a note reaches beyond its segment");
		if (n.n_type != XEN_ELFNOTE_PHYS32_ENTRY || n.n_namesz != sizeof(XEN_NAME) ||
		    memcmp(name, XEN_NAME, sizeof(XEN_NAME)) != 0)
			continue;
		if (n.n_descsz != 4 && n.n_descsz != 8)
			return bad(e, "ELF: n_descsz of the PVH entry note is neither 4 nor 8");
		memcpy(&entry, desc, n.n_descsz);
		if (entry > UINT32_MAX)
			return bad(e, "ELF: the PVH entry note's address is above 4 GiB");
		*ret_entry = entry;
		return 1;
	}
	return 0;
}

/* 1: the segment of notes says how to enter by PVH; 0: it does not. */
static int read_notes(int fd, const Elf64_Phdr *p, uint64_t size, gpa_t *ret_entry, struct err *e)
{
	autofree uint8_t *notes = NULL;
	int r;

	if (p->p_offset > size || p->p_filesz > size - p->p_offset)
		return bad(e, "ELF: a PT_NOTE segment (p_offset, p_filesz) ends beyond the file");
	if (p->p_filesz > NOTES_MAX)
		return bad(e, "ELF: p_filesz of a PT_NOTE segment is larger than 64 KiB");
	notes = FAULT(-ENOMEM) < 0 ? NULL : malloc(p->p_filesz + 1);
	if (!notes)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "ELF notes: out of memory");
	r = read_file(fd, notes, p->p_filesz, p->p_offset, "a PT_NOTE segment", e);
	if (r < 0)
		return r;
	return find_pvh_note(notes, p->p_filesz, p->p_align == 8 ? 8 : 4, ret_entry, e);
}

/* How to enter what was loaded: by the first PVH note, else at e_entry. */
static int choose_entry(int fd, uint64_t size, const Elf64_Ehdr *h, const Elf64_Phdr *phdr,
			struct kernel_image *k, struct err *e)
{
	bool loaded = false;
	int r = 0;

	for (unsigned i = 0; i < h->e_phnum && r == 0; i++)
		if (phdr[i].p_type == PT_NOTE)
			r = read_notes(fd, &phdr[i], size, &k->entry, e);
	if (r < 0)
		return r;
	k->protocol = r > 0 ? KERNEL_PVH : KERNEL_LINUX64;
	if (k->protocol == KERNEL_LINUX64)
		k->entry = h->e_entry;
	for (unsigned i = 0; i < h->e_phnum; i++)
		loaded |= segment_holds(&phdr[i], k->entry);
	if (loaded)
		return 0;
	return bad(e, k->protocol == KERNEL_PVH
			      ? "ELF: the PVH entry note's address is in no loaded segment"
			      : "ELF: e_entry is in no loaded segment");
}

/* Whether a segment's memory meets that of an earlier one; neither wraps. */
static bool overlaps(const Elf64_Phdr *phdr, unsigned i)
{
	const Elf64_Phdr *p = &phdr[i];

	for (const Elf64_Phdr *other = phdr; other < p; other++)
		if (segment_holds(other, p->p_paddr) || segment_holds(p, other->p_paddr))
			return true;
	return false;
}

static int load_segments(const struct gmem *mem, int fd, uint64_t size, const Elf64_Phdr *phdr,
			 unsigned n, gpa_t *ret_end, struct err *e)
{
	gpa_t end = 0;

	for (unsigned i = 0; i < n; i++) {
		const Elf64_Phdr *p = &phdr[i];
		int r;

		if (p->p_type != PT_LOAD || p->p_memsz == 0)
			continue;
		if (overlaps(phdr, i))
			return bad(e, "ELF: two segments (p_paddr, p_memsz) overlap");
		r = load_segment(mem, fd, p, size, e);
		if (r < 0)
			return r;
		if (p->p_paddr + p->p_memsz > end)
			end = p->p_paddr + p->p_memsz;
	}
	*ret_end = end;
	return 0;
}

static int load_elf(const struct gmem *mem, int fd, uint64_t size, struct kernel_image *k,
		    struct err *e)
{
	Elf64_Phdr phdr[PHDRS_MAX];
	Elf64_Ehdr h;
	int r = read_file(fd, &h, sizeof(h), 0, "the ELF header", e);

	if (r < 0)
		return r;
	r = check_ehdr(&h, e);
	if (r < 0)
		return r;
	r = read_file(fd, phdr, h.e_phnum * sizeof(phdr[0]), h.e_phoff,
		      "the ELF program headers (e_phoff)", e);
	if (r < 0)
		return r;
	r = load_segments(mem, fd, size, phdr, h.e_phnum, &k->end, e);
	if (r < 0)
		return r;
	return choose_entry(fd, size, &h, phdr, k, e);
}

/* --- bzImage -------------------------------------------------------------- */

static uint64_t field(const uint8_t *hdr, unsigned off, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, hdr + off, len);
	return v;
}

static int check_setup_header(const uint8_t *hdr, struct err *e)
{
	if (field(hdr, HDR_BOOT_FLAG, 2) != BOOT_FLAG || memcmp(hdr + HDR_MAGIC, "HdrS", 4) != 0)
		return bad(e, "neither an ELF vmlinux nor a bzImage");
	if (field(hdr, HDR_VERSION, 2) < PROTOCOL_2_12)
		return bad(e, "bzImage: boot protocol older than 2.12");
	if (!(field(hdr, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return bad(e, "bzImage does not provide a 64-bit entry point");
	return 0;
}

/*
 * Where the image goes: to its preferred address, so that the decompressor has
 * nothing to move. Loaded lower it works there all the same (boot protocol, init_size),
 * so that a kernel which may be moved needs no less memory. With a preference below
 * 1 MiB it is moved to where there is a place.
 */
static int place_bzimage(const struct gmem *mem, const uint8_t *hdr, uint64_t need, gpa_t *ret_base,
			 struct err *e)
{
	gpa_t preferred = field(hdr, HDR_PREF_ADDRESS, 8);
	gpa_t base = preferred < LAYOUT_HIMEM && hdr[HDR_RELOCATABLE] ? LAYOUT_HIMEM : preferred;

	if (base >= LAYOUT_HIMEM && base % PAGE == 0 && gmem_hva(mem, base, need)) {
		*ret_base = base;
		return 0;
	}
	return err_set(
		e, ERR_INVALID, -ENOMEM,
		"bzImage: init_size %#llx at pref_address %#llx does not fit into guest memory; "
		"raise mem_size_mib",
		(unsigned long long)need, (unsigned long long)preferred);
}

static int load_bzimage(const struct gmem *mem, int fd, uint64_t size, struct kernel_image *k,
			struct err *e)
{
	uint8_t hdr[HDR_END];
	uint64_t setup, body, need;
	gpa_t base = 0;
	int r = read_file(fd, hdr, sizeof(hdr), 0, "the setup header", e);

	if (r < 0)
		return r;
	r = check_setup_header(hdr, e);
	if (r < 0)
		return r;
	setup = ((hdr[HDR_SETUP_SECTS] ? hdr[HDR_SETUP_SECTS] : 4) + UINT64_C(1)) * SECTOR;
	if (setup >= size)
		return bad(e, "bzImage: setup_sects reaches beyond the file");
	body = size - setup;
	need = field(hdr, HDR_INIT_SIZE, 4);
	if (need < body)
		need = body;
	if (body <= ENTRY_64)
		return bad(e, "bzImage: the file ends before the 64-bit entry point");
	r = place_bzimage(mem, hdr, need, &base, e);
	if (r < 0)
		return r;
	r = read_into(mem, base, fd, body, setup, "the protected-mode kernel", e);
	if (r < 0)
		return r;
	k->bzimage = true;
	k->entry = base + ENTRY_64;
	k->end = base + need;
	k->setup_header_len = HDR_MAGIC + hdr[HDR_JUMP_LEN] - SETUP_HEADER_OFFSET;
	if (k->setup_header_len > SETUP_HEADER_MAX)
		k->setup_header_len = SETUP_HEADER_MAX;
	return read_file(fd, k->setup_header, k->setup_header_len, SETUP_HEADER_OFFSET,
			 "the setup header", e);
}

int kernel_load(const struct gmem *mem, int fd, struct kernel_image *ret_kernel, struct err *e)
{
	struct kernel_image k = { 0 };
	uint64_t size;
	char magic[SELFMAG];
	int r = file_size(fd, &size, e);

	if (r < 0)
		return r;
	r = read_file(fd, magic, sizeof(magic), 0, "its first four bytes", e);
	if (r < 0)
		return r;
	if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		r = load_elf(mem, fd, size, &k, e);
	else
		r = load_bzimage(mem, fd, size, &k, e);
	if (r < 0)
		return r;
	*ret_kernel = k;
	return 0;
}

int initrd_load(const struct gmem *mem, int fd, gpa_t floor, struct initrd_image *ret_initrd,
		struct err *e)
{
	const struct gmem_region *low = &mem->region[0];
	uint64_t size, room;
	gpa_t base;
	int r = file_size(fd, &size, e);

	if (r < 0)
		return r;
	if (size == 0)
		return bad(e, "the file is empty");
	/* The end of low memory is a page's, so what is below it can be rounded up. */
	room = floor < low->base + low->size ? low->base + low->size - floor : 0;
	room &= ~(uint64_t)(PAGE - 1);
	if (size > room)
		return err_set(
			e, ERR_INVALID, -ENOMEM,
			"%llu bytes do not fit between the kernel's end at %#llx and the end of "
			"low memory; raise mem_size_mib",
			(unsigned long long)size, (unsigned long long)floor);
	base = (low->base + low->size - size) & ~(gpa_t)(PAGE - 1);
	r = read_into(mem, base, fd, size, 0, "the initrd", e);
	if (r < 0)
		return r;
	*ret_initrd = (struct initrd_image){ .base = base, .size = size };
	return 0;
}
