/* SPDX-License-Identifier: Apache-2.0 */
/* Reports, page tables and small helpers of the payloads. */
#include "payload.h"

enum { COM1 = 0x3f8, I8042_DATA = 0x60, I8042_COMMAND = 0x64, I8042_RESET = 0xfe };
enum { I8042_OUTPUT_FULL = 1, I8042_WRITE_COMMAND_BYTE = 0x60, I8042_KEYBOARD_INTERRUPT = 1 };
enum { KEYBOARD_ENABLE = 0xf4, KEYBOARD_ACK = 0xfa };
/* The user's too, for enter_user_mode(). */
enum { PAGE_RW = 0x7, PAGE_LARGE = 0x80, GIB_MAPPED = 4 };

uint64_t boot_params;

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[GIB_MAPPED + 1][512] __attribute__((aligned(4096)));

void put(const char *text)
{
	for (; *text; text++)
		outb(COM1, (uint8_t)*text);
}

void put_hex(uint64_t value)
{
	bool started = false;

	put("0x");
	for (int shift = 60; shift >= 0; shift -= 4) {
		unsigned digit = value >> shift & 15;

		started |= digit || shift == 0;
		if (started)
			outb(COM1, (uint8_t) "0123456789abcdef"[digit]);
	}
}

static void put_decimal(unsigned n)
{
	if (n >= 10)
		put_decimal(n / 10);
	outb(COM1, (uint8_t)('0' + n % 10));
}

static void put_place(const char *file, unsigned line, const char *what)
{
	put("FAIL ");
	put(file);
	put(":");
	put_decimal(line);
	put(": ");
	put(what);
}

void fail(const char *file, unsigned line, const char *what)
{
	put_place(file, line, what);
	put("\n");
	reset_i8042();
	hang();
}

void fail_values(const char *file, unsigned line, const char *what, uint64_t is, uint64_t should)
{
	put_place(file, line, what);
	put(" is ");
	put_hex(is);
	put(", not ");
	put_hex(should);
	put("\n");
	reset_i8042();
	hang();
}

void passed(void)
{
	put("PASS\n");
}

void reset_i8042(void)
{
	outb(I8042_COMMAND, I8042_RESET);
}

void host_listen(void)
{
	outb(I8042_COMMAND, I8042_WRITE_COMMAND_BYTE);
	outb(I8042_DATA, I8042_KEYBOARD_INTERRUPT);
	outb(I8042_DATA, KEYBOARD_ENABLE);
	CHECK_EQ(inb(I8042_COMMAND) & I8042_OUTPUT_FULL, I8042_OUTPUT_FULL);
	CHECK_EQ(inb(I8042_DATA), KEYBOARD_ACK);
}

bool host_pressed(void)
{
	bool pressed = false;

	while (inb(I8042_COMMAND) & I8042_OUTPUT_FULL) {
		(void)inb(I8042_DATA);
		pressed = true;
	}
	return pressed;
}

void host_turn(const char *line)
{
	put(line);
	put("\n");
	/* The host's test has its own patience. */
	while (!host_pressed())
		for (unsigned i = 0; i < 1000; i++)
			__asm__ volatile("pause");
}

void hang(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

bool patient(uint64_t start)
{
	__asm__ volatile("pause");
	/* Ten seconds of a 2 GHz counter; more or less does not matter. */
	return rdtsc() - start < 20000000000ull;
}

bool equal(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	while (len > 0 && *x == *y)
		x++, y++, len--;
	return len == 0;
}

void fill(void *p, uint8_t byte, size_t len)
{
	__asm__ volatile("rep stosb" : "+D"(p), "+c"(len) : "a"(byte) : "memory");
}

/* The compiler may call these on its own. */
void *memset(void *p, int byte, size_t len);
void *memset(void *p, int byte, size_t len)
{
	fill(p, (uint8_t)byte, len);
	return p;
}

void *memcpy(void *to, const void *from, size_t len);
void *memcpy(void *to, const void *from, size_t len)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len)::"memory");
	return start;
}

static void map_low(void)
{
	for (unsigned g = 0; g < GIB_MAPPED; g++) {
		pdpt[g] = (uint64_t)pd[g] | PAGE_RW;
		for (unsigned i = 0; i < 512; i++)
			pd[g][i] = ((uint64_t)g << 30) | ((uint64_t)i << 21) | PAGE_RW | PAGE_LARGE;
	}
	pdpt[GIB_MAPPED] = (uint64_t)pd[GIB_MAPPED] | PAGE_RW;
	pml4[0] = (uint64_t)pdpt | PAGE_RW;
	__asm__ volatile("mov %0, %%cr3" ::"r"((uint64_t)pml4) : "memory");
}

uint64_t map_high(uint64_t gpa)
{
	const uint64_t offset = gpa & ((1 << 21) - 1);

	pd[GIB_MAPPED][0] = (gpa - offset) | PAGE_RW | PAGE_LARGE;
	__asm__ volatile("mov %0, %%cr3" ::"r"((uint64_t)pml4) : "memory");
	return ((uint64_t)GIB_MAPPED << 30) + offset;
}

unsigned e820_count(void)
{
	return read8(boot_params + BP_E820_ENTRIES);
}

struct e820_entry e820_get(unsigned n)
{
	return ((const struct e820_entry *)(boot_params + BP_E820_TABLE))[n];
}

uint64_t memory_end(void)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < e820_count(); i++) {
		const struct e820_entry e = e820_get(i);

		if (e.type == E820_RAM && e.addr < 1ull << 32 && e.addr + e.size > end)
			end = e.addr + e.size;
	}
	return end;
}

const char *cmdline(void)
{
	return (const char *)(uint64_t)read32(boot_params + BP_CMD_LINE_PTR);
}

const char *find(const char *text, const char *other)
{
	for (; *text; text++) {
		size_t n = 0;

		while (other[n] && text[n] == other[n])
			n++;
		if (!other[n])
			return text;
	}
	return NULL;
}

uint64_t cmdline_number(const char *name)
{
	const char *at = find(cmdline(), name);
	uint64_t n = 0;

	CHECK(at);
	while (*at != '=')
		at++;
	for (at++; *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

void payload_entry(uint64_t rsi);
void payload_entry(uint64_t rsi)
{
	boot_params = rsi;
	map_low();
	payload();
	passed();
	reset_i8042();
	hang();
}
