/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMClock: a page of guest memory by which a guest learns that its clocks no longer
 * go on from where they were, and that it was restored from a snapshot.
 *
 * The page has the layout of Linux's include/uapi/linux/vmclock-abi.h, version 1. It
 * holds the two markers and no clock: the counter is declared invalid, for a guest
 * has kvmclock and the KVM PTP clock for that. Guests find it by ACPI (AMZNC10C).
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

enum { VMCLOCK_SIZE = 4096 }; /* of the page */

/*
 * The machine in this memory was taken from a snapshot: both markers change. The guest
 * may have written the page; that fools nobody but itself. While no vCPU runs.
 */
must_check int vmclock_disrupt(const struct gmem *mem, gpa_t at, struct err *e);

/* Writes the page of a machine that was never restored. Main thread, while no vCPU runs. */
must_check int vmclock_write(const struct gmem *mem, gpa_t at, struct err *e);
