/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in the guest-physical address space and on the port bus of an
 * x86-64 machine. The addresses are Firecracker's: guests, clients and tools know
 * them.
 */
#pragma once

#include "mem/gmem.h"

/* Boot structures in the first 640 KiB. */
#define LAYOUT_GDT	   UINT64_C(0x500)
#define LAYOUT_IDT	   UINT64_C(0x520)
#define LAYOUT_PVH_INFO	   UINT64_C(0x6000) /* PVH: start info, and its modules */
#define LAYOUT_PVH_MODULES UINT64_C(0x6040)
#define LAYOUT_PVH_MEMMAP  UINT64_C(0x7000) /* where else the zero page is */
#define LAYOUT_ZERO_PAGE   UINT64_C(0x7000)
#define LAYOUT_BOOT_STACK  UINT64_C(0x8ff0)
#define LAYOUT_PML4	   UINT64_C(0x9000)
#define LAYOUT_PDPT	   UINT64_C(0xa000)
#define LAYOUT_PD	   UINT64_C(0xb000)
#define LAYOUT_CMDLINE	   UINT64_C(0x20000)
#define LAYOUT_CMDLINE_MAX 2048 /* bytes, with the NUL */

/* Firmware tables, reserved in the memory map. */
#define LAYOUT_SYSTEM	  UINT64_C(0x9fc00) /* MP tables */
#define LAYOUT_SYSTEM_END UINT64_C(0xe0000)
#define LAYOUT_ACPI	  UINT64_C(0xa0000) /* all tables but the RSDP */
#define LAYOUT_ACPI_END	  UINT64_C(0xdd000)
#define LAYOUT_RNG_SEED	  UINT64_C(0xdd000) /* a page each */
#define LAYOUT_VMGENID	  UINT64_C(0xde000)
#define LAYOUT_VMCLOCK	  UINT64_C(0xdf000)
#define LAYOUT_RSDP	  UINT64_C(0xe0000)

#define LAYOUT_HIMEM UINT64_C(0x100000) /* kernels start here or above */

/* The hole below 4 GiB. */
#define LAYOUT_MMIO32	     UINT64_C(0xc0000000)
#define LAYOUT_MMIO32_END    UINT64_C(0x100000000)
#define LAYOUT_BOOT_TIMER    UINT64_C(0xc0000000)
#define LAYOUT_VIRTIO	     UINT64_C(0xc0001000) /* one page each, in attach order */
#define LAYOUT_VIRTIO_SIZE   UINT64_C(0x1000)
#define LAYOUT_MMCONFIG	     UINT64_C(0xeec00000) /* reserved, with or without PCI */
#define LAYOUT_MMCONFIG_SIZE UINT64_C(0x10000000)
#define LAYOUT_IOAPIC	     UINT64_C(0xfec00000)
#define LAYOUT_LAPIC	     UINT64_C(0xfee00000)
#define LAYOUT_TSS	     UINT64_C(0xfffbd000) /* three pages for KVM on Intel */

/* The hole from 256 GiB to 512 GiB. */
#define LAYOUT_MMIO64	  (UINT64_C(256) << 30)
#define LAYOUT_MMIO64_END (UINT64_C(512) << 30)

/* Ports. */
#define LAYOUT_PORT_COM1    0x3f8
#define LAYOUT_PORT_I8042   0x60
#define LAYOUT_PORT_PVPANIC 0x505
#define LAYOUT_PORT_ACPI    0x600 /* sleep control, sleep status, reset */

/* Global system interrupts. */
enum {
	LAYOUT_GSI_I8042 = 1,
	LAYOUT_GSI_COM1 = 4,
	LAYOUT_GSI_VIRTIO = 5,	  /* first of one a device */
	LAYOUT_GSI_PIC_LAST = 15, /* without the I/O APIC (`noapic') */
	LAYOUT_GSI_VMGENID = 22,
	LAYOUT_GSI_VMCLOCK = 23,
	LAYOUT_GSI_LAST = 23,
	LAYOUT_VIRTIO_MAX = LAYOUT_GSI_VMGENID - LAYOUT_GSI_VIRTIO,
	/* Without the I/O APIC there is no ACPI either, and they have no interrupt. */
	LAYOUT_VIRTIO_PIC_MAX = LAYOUT_GSI_PIC_LAST - LAYOUT_GSI_VIRTIO + 1,
};

#define LAYOUT_VCPUS_MAX 32

/* RAM of `size' bytes as its 1 to 3 regions: base and size of each. */
struct layout_ram {
	unsigned n;
	struct {
		gpa_t base;
		uint64_t size;
	} region[3];
};
struct layout_ram layout_ram(uint64_t size);
