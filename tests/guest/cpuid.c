/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=machine */
/* A processor of a virtual machine that cannot itself host one. */
#include "lib/payload.h"

enum { EAX, EBX, ECX, EDX };

static bool bit(uint32_t value, unsigned n)
{
	return value >> n & 1;
}

void payload(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	CHECK(r[EAX] >= 1);
	cpuid(1, 0, r);
	CHECK_EQ(r[EBX] >> 24, 0);	 /* initial APIC id of the first vCPU */
	CHECK_EQ(r[EBX] >> 8 & 0xff, 8); /* CLFLUSH: 64 bytes */
	CHECK(bit(r[ECX], 31));		 /* hypervisor */
	CHECK(bit(r[ECX], 24));		 /* TSC deadline */
	CHECK(!bit(r[ECX], 15));	 /* PDCM */
	CHECK(!bit(r[ECX], 5));		 /* VMX */
	/* An interpreting KVM answers this leaf in its own way. */
	if (find(cmdline(), "kvm=native"))
		CHECK(!bit(r[EDX], 28)); /* HTT: one vCPU */
	cpuid(0x40000000, 0, r);
	CHECK(equal(&r[EBX], "KVMKVMKVM\0\0", 12));
	cpuid(0x80000000, 0, r);
	CHECK(r[EAX] >= 0x80000001);
	cpuid(0x80000001, 0, r);
	CHECK(!bit(r[ECX], 2)); /* SVM */
	CHECK(bit(r[EDX], 29)); /* long mode */
}
