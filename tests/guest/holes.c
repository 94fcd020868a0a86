/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine */
/* Ports and addresses where nothing is: reads give 0, writes vanish, the machine lives. */
#include "lib/payload.h"

static void check_port(uint16_t port)
{
	outb(port, 0xff);
	outw(port, 0xffff);
	outl(port, 0xffffffff);
	CHECK_EQ(inb(port), 0);
	CHECK_EQ(inw(port), 0);
	CHECK_EQ(inl(port), 0);
}

static void check_address(uint64_t at)
{
	write8(at, 0xff);
	write16(at, 0xffff);
	write32(at, 0xffffffff);
	write64(at, ~0ull);
	CHECK_EQ(read8(at), 0);
	CHECK_EQ(read16(at), 0);
	CHECK_EQ(read32(at), 0);
	CHECK_EQ(read64(at), 0);
	/* Two halves that no one owns. */
	CHECK_EQ(read32(at + 1), 0);
}

void payload(void)
{
	static const uint16_t ports[] = { 0x80, 0x1f0, 0x2f8, 0x3e8, 0x378, 0xcf8, 0xcfc, 0xfff0 };
	/* The start of the window (no boot timer here), past the devices, and its end. */
	static const uint64_t at[] = { 0xc0000000, 0xc0100000, 0xd0000000, 0xee000000 };

	for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		check_port(ports[i]);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		check_address(at[i]);
}
