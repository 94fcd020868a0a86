/* SPDX-License-Identifier: Apache-2.0 */
/* The MultiProcessor tables, byte by byte. */
#include "vmm/x86/mptable.h"

#include "conf/expect.h"
#include "image.h"

static struct gmem mem;
static uint8_t t[1024];

static void write_table(unsigned nvcpus)
{
	struct err e;

	mem = memory_of(16 * MIB);
	CHECK_EQ(mptable_write(&mem, nvcpus, &e), 0);
	CHECK_EQ(gmem_read(&mem, 0x9fc00, t, sizeof(t)), 0);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

static unsigned le16(unsigned at)
{
	return (unsigned)(t[at] | t[at + 1] << 8);
}

static size_t size_for(unsigned nvcpus)
{
	return 16 + 44 + 20 * nvcpus + 8 + 8 + 8 * 24 + 8 * 2;
}

TEST(every_byte_for_one_processor)
{
	static const char head[] =
		/* floating pointer: one unit long, of version 1.4 */
		"_MP_\x10\xfc\x09\0\1\4\0\0\0\0\0\0"
		/* configuration table: 288 bytes, version 1.4, 29 entries */
		"PCMP\x20\1\4\0"
		"FC      000000000000"
		"\0\0\0\0\0\0\x1d\0\0\0\xe0\xfe\0\0\0\0"
		/* the processor: APIC 0, version 0x14, enabled and of the boot */
		"\0\0\x14\3\0\6\0\0\1\2\0\0\0\0\0\0\0\0\0\0"
		/* the bus */
		"\1\0ISA   "
		/* the I/O APIC: id 2, at 0xfec00000 */
		"\2\2\x14\1\0\0\xc0\xfe";
	uint8_t want[1024] = { 0 };
	size_t at = sizeof(head) - 1; /* not its NUL */

	memcpy(want, head, at);
	for (uint8_t i = 0; i < 24; i++, at += 8)
		memcpy(want + at, (uint8_t[]){ 3, 0, 0, 0, 0, i, 2, i }, 8);
	memcpy(want + at, (uint8_t[]){ 4, 3, 0, 0, 0, 0, 0, 0 }, 8);
	memcpy(want + at + 8, (uint8_t[]){ 4, 1, 0, 0, 0, 0, 0xff, 1 }, 8);
	CHECK_EQ(at + 16, size_for(1));
	write_table(1);
	CHECK_EQ(sum(t, 16), 0);
	CHECK_EQ(sum(t + 16, 288), 0);
	want[10] = t[10]; /* the checksums are right as was seen */
	want[16 + 7] = t[16 + 7];
	for (unsigned i = 0; i < sizeof(t); i++) {
		if (t[i] != want[i])
			fprintf(stderr, "# byte %u\n", i);
		CHECK_EQ(t[i], want[i]);
	}
}

TEST(processors)
{
	static const unsigned counts[] = { 1, 2, 3, 8, 31, 32 };

	for (unsigned k = 0; k < ARRAY_SIZE(counts); k++) {
		unsigned n = counts[k], at = 60;

		write_table(n);
		CHECK_EQ(16 + le16(20), size_for(n));
		CHECK_EQ(le16(50), n + 1 + 1 + 24 + 2);
		CHECK_EQ(sum(t, 16), 0);
		CHECK_EQ(sum(t + 16, le16(20)), 0);
		for (unsigned i = 0; i < n; i++, at += 20) {
			CHECK_EQ(t[at], 0);
			CHECK_EQ(t[at + 1], i);
			CHECK_EQ(t[at + 3], i == 0 ? 3 : 1);
		}
		CHECK_EQ(t[at + 8 + 1], n + 1);	 /* the I/O APIC's id */
		CHECK_EQ(t[at + 16 + 6], n + 1); /* where line 0 goes */
		CHECK_EQ(t[at + 16 + 23 * 8 + 6], n + 1);
		for (size_t i = size_for(n); i < sizeof(t); i++)
			CHECK_EQ(t[i], 0);
	}
}

TEST(too_little_memory)
{
	struct err e;

	mem = memory_of(0x9f000);
	CHECK_EQ(mptable_write(&mem, 1, &e), -EFAULT);
	expect_msg("mptable", e.msg, "guest memory is too small for the MP tables");
}
