/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that every machine has beside its virtio devices: COM1, keyboard
 * controller, ACPI power registers, pvpanic, VMGenID and VMClock, and the boot timer when
 * it was asked for.
 *
 * Main thread, while the machine is built and when it is taken down.
 */
#pragma once

#include "base/loop.h"
#include "devices/acpi_power.h"
#include "devices/boot_timer.h"
#include "devices/bus.h"
#include "devices/end.h"
#include "devices/i8042.h"
#include "devices/pvpanic.h"
#include "vmm/vm.h"

struct console;
struct machine_cfg;
struct serial;

struct platform { /* all owned */
	struct serial *serial;
	struct console *console; /* not owned: where COM1 leads; NULL: to descriptors */
	int serial_irq;
	struct i8042 i8042;
	int i8042_irq;
	bool has_i8042;
	struct metrics_group i8042_group;
	struct acpi_power power;
	struct pvpanic pvpanic;
	struct boot_timer boot_timer;
	bool has_boot_timer;
	int vmgenid_irq, vmclock_irq;
};

struct platform_where { /* what the devices are attached to, all of it the machine's */
	const struct vm *vm;
	const struct gmem *mem;
	struct bus *ports, *mmio;
	struct end_request *end;
};

/* Nothing there yet; platform_fini() may be called from here on. */
void platform_init(struct platform *p);

/* What fails leaves what was built to platform_fini(). */
must_check int platform_build(struct platform *p, const struct platform_where *where,
			      const struct machine_cfg *cfg, struct err *e);

void platform_fini(struct platform *p);
