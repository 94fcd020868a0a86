/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a freestanding guest needs to test one property of the machine.
 *
 * A payload is one C file with `void payload(void)' and, at its top, a line
 *
 *	payload: area=A needs=any|real exit=N reason=WORD devices=... mem=... timeout=S
 *
 * that tells the runner how to start it and how it must end (README.md has the
 * words). It runs on one vCPU at CPL 0 with interrupts off and the first 4 GiB
 * mapped one to one; it polls. Returning from payload() is success: the library
 * prints "PASS" and resets the machine. A failed check prints "FAIL", where and
 * what, and resets as well.
 *
 * Some hosts' KVM interprets kernel-mode code, about 4 million instructions a
 * second and no iretq, int3, cmpxchg16b, mfence or SSE: short loops, no such
 * instruction.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void payload(void);

/* --- reports --- */

void put(const char *text);
void put_hex(uint64_t value);
__attribute__((noreturn)) void fail(const char *file, unsigned line, const char *what);
__attribute__((noreturn)) void fail_values(const char *file, unsigned line, const char *what,
					   uint64_t is, uint64_t should);
/* For payloads that end the machine in their own way: prints the PASS line. */
void passed(void);

/*
 * A word with the host's test: prints the line, then waits until somebody presses
 * Ctrl+Alt+Del. host_pressed() looks without waiting. Once before the first of either:
 * host_listen().
 */
void host_listen(void);
bool host_pressed(void);
void host_turn(const char *line);

#define CHECK(cond)                                      \
	do {                                             \
		if (!(cond))                             \
			fail(__FILE__, __LINE__, #cond); \
	} while (0)

#define CHECK_EQ(a, b)                                               \
	do {                                                         \
		uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);     \
		if (a_ != b_)                                        \
			fail_values(__FILE__, __LINE__, #a, a_, b_); \
	} while (0)

/* --- ends; none returns if the machine does what it should --- */

void reset_i8042(void);
__attribute__((noreturn)) void hang(void);

/*
 * Returns at CPL 3 with the stack as it was and all ports and memory allowed: there an
 * interpreting KVM runs code as fast as the processor does. Not on AMD.
 */
void enter_user_mode(void);

/* --- ports and memory --- */

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

#define MMIO(bits)                                                    \
	static inline uint##bits##_t read##bits(uint64_t at)          \
	{                                                             \
		return *(volatile uint##bits##_t *)at;                \
	}                                                             \
	static inline void write##bits(uint64_t at, uint##bits##_t v) \
	{                                                             \
		*(volatile uint##bits##_t *)at = v;                   \
	}
MMIO(8)
MMIO(16)
MMIO(32)
MMIO(64)

/* Maps the 2 MiB around an address above 4 GiB; where the address is now. */
uint64_t map_high(uint64_t gpa);

/* Orders an earlier store before a later load: the one order x86 does not keep. */
static inline void fence(void)
{
	__asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* True until about ten seconds have gone by since `start'; the processor rests a little. */
bool patient(uint64_t start);

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(sub));
}

bool equal(const void *a, const void *b, size_t len);
void fill(void *p, uint8_t byte, size_t len);

/* --- what the monitor handed over --- */

/* Offsets into struct boot_params: Linux, Documentation/x86/zero-page.rst. */
enum {
	BP_ACPI_RSDP_ADDR = 0x70,
	BP_E820_ENTRIES = 0x1e8,
	BP_BOOT_FLAG = 0x1fe,
	BP_HEADER = 0x202,
	BP_TYPE_OF_LOADER = 0x210,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_CMD_LINE_PTR = 0x228,
	BP_KERNEL_ALIGNMENT = 0x230,
	BP_CMDLINE_SIZE = 0x238,
	BP_E820_TABLE = 0x2d0,
};

struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));
enum { E820_RAM = 1, E820_RESERVED = 2 };

extern uint64_t boot_params; /* RSI at the entry */

unsigned e820_count(void);
struct e820_entry e820_get(unsigned n);
/* The first byte behind the memory below 4 GiB. */
uint64_t memory_end(void);
const char *cmdline(void);
/* The number after "NAME=" on the command line; fails if there is none. */
uint64_t cmdline_number(const char *name);
/* NULL if the text does not hold the other. */
const char *find(const char *text, const char *other);
