/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=none vcpus=2 timeout=60 */
/* A second processor rewrites descriptors and indices while the device reads them. */
#include "lib/hostile.h"

enum { LAPIC_ICR = 0xfee00300, LAPIC_ICR_HIGH = 0xfee00310 };
enum { ICR_INIT = 0x4500, ICR_STARTUP = 0x4600, ICR_BUSY = 0x1000 };

/*
 * What both processors share, below 1 MiB for the other one's 16-bit addresses: its code,
 * the victim's queue at the start of its data segment, what it writes (16 bytes at a
 * time, in turns), where to, and a count of its turns.
 */
enum {
	CODE = 0x10000,
	DATA = 0x11000,
	VALUES = 0x800,
	HARMLESS = 0x900,
	AIM = 0xff0,
	TURNS = 0xff4
};
enum { NVALUES = 8, ROUNDS = 3, SUBMITS = 50 };

__asm__(".pushsection .text\n"
	".code16\n"
	".globl other_start, other_end\n"
	"other_start:\n"
	"	cli\n"
	"	mov	$0x1100, %ax\n"
	"	mov	%ax, %ds\n"
	"	xor	%si, %si\n"
	"1:	mov	0xff0, %di\n"
	"	mov	0x800(%si), %eax\n"
	"	mov	%eax, (%di)\n"
	"	mov	0x804(%si), %eax\n"
	"	mov	%eax, 4(%di)\n"
	"	mov	0x808(%si), %eax\n"
	"	mov	%eax, 8(%di)\n"
	"	mov	0x80c(%si), %eax\n"
	"	mov	%eax, 12(%di)\n"
	"	add	$16, %si\n"
	"	and	$0x7f, %si\n"
	"	incl	0xff4\n"
	"	jmp	1b\n"
	"other_end:\n"
	".code64\n"
	".popsection\n");
extern const uint8_t other_start[], other_end[];

static void await_turns(unsigned n)
{
	const uint32_t from = read32(DATA + TURNS);
	const uint64_t start = rdtsc();

	while (read32(DATA + TURNS) - from < n)
		CHECK(patient(start));
}

/* What was aimed at before is left alone from here on. */
static void aim(uint32_t offset)
{
	write32(DATA + AIM, offset);
	await_turns(2);
}

static void send(uint32_t command)
{
	const uint64_t start = rdtsc();

	write32(LAPIC_ICR_HIGH, 1u << 24);
	write32(LAPIC_ICR, command);
	while (read32(LAPIC_ICR) & ICR_BUSY)
		CHECK(patient(start));
}

static void start_other(void)
{
	const uint8_t *from = other_start;

	for (uint64_t to = CODE; from < other_end; to++)
		write8(to, *from++);
	write32(DATA + AIM, HARMLESS);
	write32(DATA + TURNS, 0);
	send(ICR_INIT);
	send(ICR_STARTUP | CODE >> 12);
	await_turns(1);
}

static void set_value(unsigned n, struct desc d)
{
	*(volatile struct desc *)(DATA + VALUES + n * sizeof(d)) = d;
}

static void set_values(void)
{
	const uint64_t at = (uint64_t)vdata;

	set_value(0, (struct desc){ at, 512, DESC_NEXT | DESC_WRITE, 2 });
	set_value(1, (struct desc){ ~0ull - 7, 512, DESC_NEXT | DESC_WRITE, 2 });
	set_value(2, (struct desc){ at, 0xffffffff, DESC_NEXT | DESC_WRITE, 2 });
	set_value(3, (struct desc){ VIRTIO_BASE, 16, DESC_NEXT, 1 });
	set_value(4, (struct desc){ at, 16, DESC_NEXT, 0xffff });
	set_value(5, (struct desc){ at, 512, DESC_INDIRECT, 0 });
	set_value(6, (struct desc){ 0, 0, 0, 0 });
	set_value(7, (struct desc){ at, 1, DESC_WRITE, 0 });
}

/* The ring as it should be, then kicks while the other processor aims at it. */
static void race(uint32_t offset)
{
	attack_begin();
	for (unsigned i = 0; i < SUBMITS; i++) {
		good_chain();
		write32(DATA + AIM, offset);
		virtio_submit(victim, vq, 0);
		for (unsigned k = 0; k < 5 && !victim_broke(); k++)
			continue;
		if (victim_broke()) {
			aim(HARMLESS);
			virtio_start(victim, vq, 0);
		}
	}
	aim(HARMLESS);
	attack_end(ANY, 0);
}

void payload(void)
{
	vq = (struct queue *)DATA;
	_Static_assert(sizeof(*vq) < VALUES, "the queue fits before what comes after it");
	start_other();
	hostile_begin(0);
	set_values();
	for (unsigned i = 0; i < ROUNDS; i++) {
		race(offsetof(struct queue, desc[0]));
		race(offsetof(struct queue, desc[1]));
		race(offsetof(struct queue, desc[2]));
		race(offsetof(struct queue, avail));
		race(offsetof(struct queue, used));
	}
	hostile_end();
}
