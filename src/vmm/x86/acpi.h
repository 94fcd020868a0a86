/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of a hardware-reduced machine (ACPI 6.5, chapter 5): RSDP, XSDT, FADT,
 * MADT, DSDT with the virtio-mmio devices (LNRO0005), COM1, the keyboard controller
 * and \_S5.
 *
 * Main thread, while no vCPU runs.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

struct acpi_cfg {
	unsigned nvcpus;
	unsigned nvirtio; /* devices, at LAYOUT_VIRTIO and LAYOUT_GSI_VIRTIO upwards */
};

/* The RSDP is at LAYOUT_RSDP then. */
must_check int acpi_write(const struct gmem *mem, const struct acpi_cfg *cfg, struct err *e);
