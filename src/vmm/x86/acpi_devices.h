/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of the DSDT: COM1, the keyboard controller, pvpanic, the virtio-mmio
 * devices (LNRO0005), VMGenID, VMClock, and the generic event device that turns the
 * interrupts of the last two into notifications (ACPI 6.5, 5.6.9).
 */
#pragma once

#include "vmm/x86/aml.h"

/* Into the open scope \_SB_; `nvirtio' devices at LAYOUT_VIRTIO upwards. */
void acpi_devices_describe(struct aml *a, unsigned nvirtio);
