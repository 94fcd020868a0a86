/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MultiProcessor tables (Intel MultiProcessor Specification 1.4, chapter 4): how a
 * kernel without ACPI (`acpi=off', `noapic', a build without it) learns of processors,
 * I/O APIC and interrupt lines.
 *
 * Main thread, while no vCPU runs.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/* At LAYOUT_SYSTEM, the last KiB of the first 640: a place where kernels look. */
must_check int mptable_write(const struct gmem *mem, unsigned nvcpus, struct err *e);
