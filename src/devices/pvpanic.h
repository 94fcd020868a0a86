/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: one byte by which a guest says that its kernel has panicked. Reading gives the
 * events that there are, writing reports some of them. Linux finds it by ACPI (QEMU0001;
 * pvpanic-mmio, which takes ports as well).
 *
 * A report is an event (base/events.h) and a line of the log, each once from a process:
 * a guest cannot fill either. What the guest does after it, reset or nothing, is its own
 * affair. A panic that is reported twice after a snapshot was loaded is no matter, so nothing
 * is saved.
 */
#pragma once

#include "devices/bus.h"

enum { PVPANIC_SIZE = 1 };

enum { /* bits */
       PVPANIC_PANICKED = 1 << 0,
       PVPANIC_CRASH_LOADED = 1 << 1, /* panicked, and a crash kernel takes over */
};

struct pvpanic {
	struct bus_dev dev; /* ports, PVPANIC_SIZE */
	uint8_t reported;   /* (A) events that have been told */
};

void pvpanic_init(struct pvpanic *p);
