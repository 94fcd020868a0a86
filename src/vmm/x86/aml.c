/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/aml.h"

#include <string.h>

/* ACPI 6.5, 20.3 */
enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXT = 0x5b,
	OP_ARG0 = 0x68,
	OP_NOTIFY = 0x86,
	OP_EQUAL = 0x93,
	OP_IF = 0xa0,
	OP_EXT_DEVICE = 0x82,
	METHOD_SERIALIZED = 1 << 3,
};

/* ACPI 6.5, 6.4: resource data types */
enum {
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_MEMORY32_FIXED = 0x86,
	RES_EXT_INTERRUPT = 0x89,
	IO_DECODE16 = 1,
	MEMORY_WRITABLE = 1,
	INTERRUPT_CONSUMER = 1 << 0,
	INTERRUPT_EDGE = 1 << 1,
};

/* A package's length always takes three bytes here, so that it can be filled in later. */
enum { LENGTH_BYTES = 3 };

static void put(struct aml *a, const void *data, size_t len)
{
	if (len > a->cap - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, data, len);
	a->len += len;
}

static void put8(struct aml *a, uint8_t v)
{
	put(a, &v, sizeof(v));
}

static void put16(struct aml *a, uint16_t v)
{
	put(a, &v, sizeof(v));
}

static void put32(struct aml *a, uint32_t v)
{
	put(a, &v, sizeof(v));
}

static aml_mark open_package(struct aml *a)
{
	aml_mark mark = a->len;

	put(a, "\0\0", LENGTH_BYTES);
	return mark;
}

void aml_close(struct aml *a, aml_mark mark)
{
	size_t len = a->len - mark; /* counts its own bytes (20.2.4) */

	if (a->full)
		return;
	a->buf[mark] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (len & 0xf));
	a->buf[mark + 1] = (uint8_t)(len >> 4);
	a->buf[mark + 2] = (uint8_t)(len >> 12);
}

aml_mark aml_scope_open(struct aml *a, const char *path)
{
	aml_mark mark;

	put8(a, OP_SCOPE);
	mark = open_package(a);
	put(a, path, strlen(path));
	return mark;
}

aml_mark aml_device_open(struct aml *a, const char name[4])
{
	aml_mark mark;

	put8(a, OP_EXT);
	put8(a, OP_EXT_DEVICE);
	mark = open_package(a);
	put(a, name, 4);
	return mark;
}

aml_mark aml_package_open(struct aml *a, uint8_t elements)
{
	aml_mark mark;

	put8(a, OP_PACKAGE);
	mark = open_package(a);
	put8(a, elements);
	return mark;
}

aml_mark aml_method_open(struct aml *a, const char name[4], uint8_t args)
{
	aml_mark mark;

	put8(a, OP_METHOD);
	mark = open_package(a);
	put(a, name, 4);
	put8(a, args | METHOD_SERIALIZED);
	return mark;
}

void aml_if_arg0_notify(struct aml *a, uint32_t value, const char device[4], uint32_t event)
{
	aml_mark mark;

	put8(a, OP_IF);
	mark = open_package(a);
	put8(a, OP_EQUAL);
	put8(a, OP_ARG0);
	aml_integer(a, value);
	put8(a, OP_NOTIFY);
	put(a, device, 4);
	aml_integer(a, event);
	aml_close(a, mark);
}

void aml_integer(struct aml *a, uint32_t value)
{
	if (value <= 1) { /* ZeroOp, OneOp */
		put8(a, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		put8(a, OP_BYTE);
		put8(a, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		put8(a, OP_WORD);
		put16(a, (uint16_t)value);
	} else {
		put8(a, OP_DWORD);
		put32(a, value);
	}
}

void aml_name(struct aml *a, const char name[4])
{
	put8(a, OP_NAME);
	put(a, name, 4);
}

void aml_name_integer(struct aml *a, const char name[4], uint32_t value)
{
	aml_name(a, name);
	aml_integer(a, value);
}

void aml_name_string(struct aml *a, const char name[4], const char *value)
{
	aml_name(a, name);
	put8(a, OP_STRING);
	put(a, value, strlen(value) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_name_eisa(struct aml *a, const char name[4], const char id[7])
{
	uint32_t v = 0;

	/* Three letters of five bits, four hexadecimal digits; most significant byte first. */
	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	aml_name(a, name);
	put8(a, OP_DWORD);
	put32(a, __builtin_bswap32(v));
}

struct aml_crs aml_crs_open(struct aml *a)
{
	struct aml_crs crs;

	aml_name(a, "_CRS");
	put8(a, OP_BUFFER);
	crs.package = open_package(a);
	put8(a, OP_WORD);
	crs.size_at = a->len;
	put16(a, 0);
	return crs;
}

void aml_crs_close(struct aml *a, struct aml_crs crs)
{
	uint16_t size;

	put8(a, RES_END);
	put8(a, 0); /* no checksum */
	if (a->full)
		return;
	size = (uint16_t)(a->len - crs.size_at - sizeof(size));
	memcpy(a->buf + crs.size_at, &size, sizeof(size));
	aml_close(a, crs.package);
}

void aml_crs_memory32(struct aml *a, uint32_t base, uint32_t size)
{
	put8(a, RES_MEMORY32_FIXED);
	put16(a, 9); /* bytes that follow */
	put8(a, MEMORY_WRITABLE);
	put32(a, base);
	put32(a, size);
}

void aml_crs_io(struct aml *a, uint16_t base, uint8_t size)
{
	put8(a, RES_IO);
	put8(a, IO_DECODE16);
	put16(a, base);
	put16(a, base);
	put8(a, 1); /* alignment */
	put8(a, size);
}

void aml_crs_edge_interrupt(struct aml *a, uint32_t gsi)
{
	put8(a, RES_EXT_INTERRUPT);
	put16(a, 6); /* bytes that follow */
	put8(a, INTERRUPT_CONSUMER | INTERRUPT_EDGE);
	put8(a, 1); /* one interrupt */
	put32(a, gsi);
}
