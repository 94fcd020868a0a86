/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/platform.h"

#include <fcntl.h>
#include <string.h>

#include "base/fault.h"
#include "base/fd.h"
#include "conf/serial.h"
#include "devices/console.h"
#include "devices/serial.h"
#include "devices/vmclock.h"
#include "devices/vmgenid.h"
#include "vmm/limits.h"
#include "vmm/machine.h"
#include "vmm/x86/layout.h"

static int add_irq(const struct vm *vm, unsigned gsi, int *ret_fd, struct err *e)
{
	autoclose int fd = fd_event_create();
	int r = fd;

	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "eventfd: %s", strerror(-r));
	r = vm_add_irqfd(vm, fd, gsi, e);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int add_to_bus(struct bus *bus, uint64_t base, uint64_t size, struct bus_dev *dev,
		      const char *name, struct err *e)
{
	int r = bus_add(bus, base, size, dev);

	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s has no place on its bus: %s", name,
			       strerror(-r));
	return 0;
}

/* A descriptor of our own for what `fd' leads to; -1 stays -1. */
static int dup_console(int fd, int *ret_fd, struct err *e)
{
	int r = fd < 0 ? 0 : FAULT(-EMFILE);

	if (r == 0 && fd >= 0) {
		*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = *ret_fd < 0 ? -errno : 0;
	}
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "console: %s", strerror(-r)) : 0;
}

static int build_serial(struct platform *p, const struct platform_where *where,
			const struct machine_cfg *cfg, struct err *e)
{
	autoclose int out = -1;
	autoclose int in = -1;
	struct serial_cfg serial;
	int r = dup_console(cfg->console_out, &out, e);

	if (r < 0)
		return r;
	r = dup_console(cfg->console_in, &in, e);
	if (r < 0)
		return r;
	r = add_irq(where->vm, LAYOUT_GSI_COM1, &p->serial_irq, e);
	if (r < 0)
		return r;
	serial = (struct serial_cfg){
		.out_fd = out,
		.in_fd = in,
		.sink = cfg->console ? console_sink(cfg->console) : NULL,
	};
	if (cfg->serial && cfg->serial->has_rate_limiter)
		serial.rate = limit_of(&cfg->serial->rate_limiter);
	r = serial_create(&serial, cfg->loop, (struct irq){ .fd = p->serial_irq }, &p->serial, e);
	if (r < 0)
		return r;
	(void)take_fd(&out);
	(void)take_fd(&in);
	p->console = cfg->console;
	if (p->console)
		console_attach(p->console, p->serial);
	return add_to_bus(where->ports, LAYOUT_PORT_COM1, SERIAL_PORTS, serial_bus_dev(p->serial),
			  "COM1", e);
}

static int build_i8042(struct platform *p, const struct platform_where *where, struct err *e)
{
	int r = add_irq(where->vm, LAYOUT_GSI_I8042, &p->i8042_irq, e);

	if (r < 0)
		return r;
	i8042_init(&p->i8042, (struct irq){ .fd = p->i8042_irq }, where->end);
	p->has_i8042 = true;
	p->i8042_group = (struct metrics_group){ .shape = &i8042_metrics_shape,
						 .counters = &p->i8042.metrics };
	r = metrics_add(&p->i8042_group);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "i8042: no memory for metrics");
	return add_to_bus(where->ports, LAYOUT_PORT_I8042, I8042_PORT_SIZE, &p->i8042.dev, "i8042",
			  e);
}

/* Both are found by ACPI alone, and the event device there names their interrupts. */
static int build_generation(struct platform *p, const struct platform_where *where, bool loaded,
			    struct err *e)
{
	int r = vmgenid_write(where->mem, LAYOUT_VMGENID, e);

	if (r < 0)
		return r;
	r = loaded ? vmclock_disrupt(where->mem, LAYOUT_VMCLOCK, e)
		   : vmclock_write(where->mem, LAYOUT_VMCLOCK, e);
	if (r < 0)
		return r;
	r = add_irq(where->vm, LAYOUT_GSI_VMGENID, &p->vmgenid_irq, e);
	if (r < 0)
		return r;
	return add_irq(where->vm, LAYOUT_GSI_VMCLOCK, &p->vmclock_irq, e);
}

static int build_boot_timer(struct platform *p, const struct platform_where *where,
			    const struct machine_cfg *cfg, struct err *e)
{
	int r;

	if (!cfg->boot_timer)
		return 0;
	r = boot_timer_init(&p->boot_timer, cfg->start, cfg->start_cpu);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "boot timer: %s", strerror(-r));
	p->has_boot_timer = true;
	return add_to_bus(where->mmio, LAYOUT_BOOT_TIMER, BOOT_TIMER_SIZE, &p->boot_timer.dev,
			  "boot timer", e);
}

int platform_build(struct platform *p, const struct platform_where *where,
		   const struct machine_cfg *cfg, struct err *e)
{
	int r = build_serial(p, where, cfg, e);

	if (r < 0)
		return r;
	r = build_i8042(p, where, e);
	if (r < 0)
		return r;
	acpi_power_init(&p->power, where->end);
	r = add_to_bus(where->ports, LAYOUT_PORT_ACPI, ACPI_POWER_SIZE, &p->power.dev,
		       "ACPI power registers", e);
	if (r < 0)
		return r;
	pvpanic_init(&p->pvpanic);
	r = add_to_bus(where->ports, LAYOUT_PORT_PVPANIC, PVPANIC_SIZE, &p->pvpanic.dev, "pvpanic",
		       e);
	if (r < 0)
		return r;
	r = build_generation(p, where, cfg->load, e);
	if (r < 0)
		return r;
	return build_boot_timer(p, where, cfg, e);
}

void platform_init(struct platform *p)
{
	*p = (struct platform){
		.serial_irq = -1, .i8042_irq = -1, .vmgenid_irq = -1, .vmclock_irq = -1
	};
}

void platform_fini(struct platform *p)
{
	if (p->has_boot_timer)
		boot_timer_fini(&p->boot_timer);
	metrics_remove(&p->i8042_group);
	if (p->has_i8042)
		i8042_fini(&p->i8042);
	if (p->console)
		console_attach(p->console, NULL);
	serial_destroy(p->serial);
	fd_close_(&p->vmclock_irq);
	fd_close_(&p->vmgenid_irq);
	fd_close_(&p->i8042_irq);
	fd_close_(&p->serial_irq);
}
