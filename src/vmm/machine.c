/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "base/fd.h"
#include "conf/serial.h"
#include "devices/acpi_power.h"
#include "devices/i8042.h"
#include "devices/serial.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/rng/rng.h"
#include "mem/backing.h"
#include "vmm/loader.h"
#include "vmm/vcpu.h"
#include "vmm/virtio_kvm.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/regs.h"

/* All owned; machine_destroy() undoes any part of it that has been made. */
struct machine {
	struct kvm kvm;
	struct vm vm;
	struct backing backing;
	struct gmem mem;
	struct bus ports, mmio;

	struct end_request end;
	bool has_end;
	int vcpu_event;

	struct serial *serial;
	int serial_irq;
	struct i8042 i8042;
	int i8042_irq;
	bool has_i8042;
	struct acpi_power power;
	struct boot_timer boot_timer;
	bool has_boot_timer;
	struct virtio_slots virtio;
	struct cmdline cmdline;

	unsigned nvcpus;
	struct vcpu *vcpus;
};

/* --- memory --------------------------------------------------------------- */

static int build_memory(struct machine *m, const struct conf_machine *conf, struct err *e)
{
	static const enum backing_pages pages[] = {
		[CONF_HUGE_PAGES_NONE] = BACKING_PAGES_DEFAULT,
		[CONF_HUGE_PAGES_TRANSPARENT] = BACKING_PAGES_TRANSPARENT,
		[CONF_HUGE_PAGES_2M] = BACKING_PAGES_2M,
	};
	uint64_t size = conf->mem_size_mib << 20; /* checked not to wrap */
	struct layout_ram ram = layout_ram(size);
	uint8_t *hva;
	int r = backing_create(size, pages[conf->huge_pages], &m->backing, e);

	if (r < 0)
		return r;
	hva = m->backing.hva;
	for (unsigned i = 0; i < ram.n; i++) {
		r = gmem_add(&m->mem, ram.region[i].base, ram.region[i].size, hva);
		if (r < 0)
			return err_set(e, ERR_INTERNAL, r, "memory region: %s", strerror(-r));
		r = vm_add_memory(&m->vm, ram.region[i].base, ram.region[i].size, hva, e);
		if (r < 0)
			return r;
		hva += ram.region[i].size;
	}
	return 0;
}

/* --- devices of the port bus ---------------------------------------------- */

static int add_irq(struct machine *m, unsigned gsi, int *ret_fd, struct err *e)
{
	autoclose int fd = fd_event_create();
	int r = fd;

	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "eventfd: %s", strerror(-r));
	r = vm_add_irqfd(&m->vm, fd, gsi, e);
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

static int dup_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int build_serial(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	autoclose int out = dup_fd(cfg->console_out);
	autoclose int in = dup_fd(cfg->console_in);
	struct serial_cfg serial = { .out_fd = out, .in_fd = in };
	int r = add_irq(m, LAYOUT_GSI_COM1, &m->serial_irq, e);

	if (r < 0)
		return r;
	if (cfg->serial && cfg->serial->has_rate_limiter)
		serial.rate = (struct rate_cfg){
			.size = cfg->serial->rate_limiter.size,
			.refill_time_ms = cfg->serial->rate_limiter.refill_time_ms,
			.one_time_burst = cfg->serial->rate_limiter.one_time_burst,
		};
	r = serial_create(&serial, cfg->loop, (struct irq){ .fd = m->serial_irq }, &m->serial, e);
	if (r < 0)
		return r;
	(void)take_fd(&out);
	(void)take_fd(&in);
	return add_to_bus(&m->ports, LAYOUT_PORT_COM1, SERIAL_PORTS, serial_bus_dev(m->serial),
			  "COM1", e);
}

static int build_i8042(struct machine *m, struct err *e)
{
	int r = add_irq(m, LAYOUT_GSI_I8042, &m->i8042_irq, e);

	if (r < 0)
		return r;
	i8042_init(&m->i8042, (struct irq){ .fd = m->i8042_irq }, &m->end);
	m->has_i8042 = true;
	return add_to_bus(&m->ports, LAYOUT_PORT_I8042, I8042_PORT_SIZE, &m->i8042.dev, "i8042", e);
}

static int build_boot_timer(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	int r;

	if (!cfg->boot_timer)
		return 0;
	r = boot_timer_init(&m->boot_timer, cfg->start, cfg->start_cpu);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "boot timer: %s", strerror(-r));
	m->has_boot_timer = true;
	return add_to_bus(&m->mmio, LAYOUT_BOOT_TIMER, BOOT_TIMER_SIZE, &m->boot_timer.dev,
			  "boot timer", e);
}

static int build_platform(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	int r = build_serial(m, cfg, e);

	if (r < 0)
		return r;
	r = build_i8042(m, e);
	if (r < 0)
		return r;
	acpi_power_init(&m->power, &m->end);
	r = add_to_bus(&m->ports, LAYOUT_PORT_ACPI, ACPI_POWER_SIZE, &m->power.dev,
		       "ACPI power registers", e);
	if (r < 0)
		return r;
	return build_boot_timer(m, cfg, e);
}

/* --- virtio devices ------------------------------------------------------- */

static int create_drive(const struct conf_drive *d, int fd, struct vdev **ret_dev, struct err *e)
{
	autoclose int own = dup_fd(fd);
	struct blk_cfg blk = {
		.id = d->drive_id,
		.fd = own,
		.read_only = d->is_read_only,
		.cache = d->cache_type == CONF_CACHE_WRITEBACK ? BLK_WRITEBACK : BLK_UNSAFE,
	};
	int r;

	if (own < 0)
		return err_set(e, ERR_INTERNAL, -errno, "drive `%s': %s", d->drive_id,
			       strerror(errno));
	r = blk_create(&blk, ret_dev, e);
	if (r < 0)
		return r;
	(void)take_fd(&own);
	return 0;
}

/* Takes the device over, whatever comes of it. */
static int attach(struct machine *m, const struct machine_cfg *cfg, struct vdev *dev, struct err *e)
{
	const struct virtio_where where = {
		.vm = &m->vm,
		.mem = &m->mem,
		.mmio = &m->mmio,
		.loop = cfg->loop,
		.cmdline = &m->cmdline,
	};
	int r = virtio_attach(&m->virtio, &where, &dev, e);

	vdev_destroy(dev);
	return r;
}

static int build_drives(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_config *conf = cfg->config;

	for (unsigned i = 0; i < conf->ndrives; i++) {
		const struct conf_drive *d = conf->drives[i];
		struct vdev *dev = NULL;
		int r = create_drive(d, cfg->drive_fd[i], &dev, e);

		if (r < 0)
			return r;
		if (d->is_root_device)
			r = cmdline_add_root(&m->cmdline, d->partuuid, d->is_read_only, e);
		if (r < 0) {
			vdev_destroy(dev);
			return r;
		}
		r = attach(m, cfg, dev, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int build_virtio(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	struct vdev *rng = NULL;
	int r = build_drives(m, cfg, e);

	if (r < 0 || !cfg->config->has_entropy)
		return r;
	r = rng_create(&rng, e);
	if (r < 0)
		return r;
	return attach(m, cfg, rng, e);
}

/* --- boot ----------------------------------------------------------------- */

static int build_boot(struct machine *m, const struct machine_cfg *cfg, gpa_t *ret_entry,
		      struct err *e)
{
	const struct conf_machine *conf = &cfg->config->machine;
	struct kernel_image kernel;
	struct initrd_image initrd = { 0 };
	const struct acpi_cfg acpi = { .nvcpus = conf->vcpu_count, .nvirtio = m->virtio.n };
	const struct boot_cfg boot = {
		.kernel = &kernel,
		.initrd = &initrd,
		.cmdline = m->cmdline.text,
		.mem_size = conf->mem_size_mib << 20,
		.rsdp = LAYOUT_RSDP,
	};
	int r = kernel_load(&m->mem, cfg->kernel_fd, &kernel, e);

	if (r < 0)
		return err_wrap(e, "Cannot load kernel `%s'",
				cfg->config->boot_source.kernel_image_path);
	if (cfg->initrd_fd >= 0)
		r = initrd_load(&m->mem, cfg->initrd_fd, kernel.end, &initrd, e);
	if (r < 0)
		return err_wrap(e, "Cannot load initrd `%s'", cfg->config->boot_source.initrd_path);
	r = acpi_write(&m->mem, &acpi, e);
	if (r < 0)
		return r;
	r = boot_write(&m->mem, &boot, e);
	if (r < 0)
		return r;
	*ret_entry = kernel.entry;
	return regs_write_tables(&m->mem, e);
}

/* --- vCPUs ---------------------------------------------------------------- */

static int set_up_vcpu(struct vcpu *v, const struct conf_machine *conf, struct kvm_cpuid2 *cpuid,
		       gpa_t entry, struct err *e)
{
	const struct cpuid_topology topo = {
		.vcpu = v->index,
		.nvcpus = conf->vcpu_count,
		.smt = conf->smt,
	};
	const struct regs_cfg regs = { .cpuid = cpuid, .entry = entry };
	int r;

	/* In place for one after the other: every field that differs is set anew. */
	cpuid_normalise(cpuid, &topo);
	r = regs_set_up(v->fd, &regs, e);
	return r < 0 ? err_wrap(e, "vCPU %u", v->index) : 0;
}

static int build_vcpus(struct machine *m, const struct machine_cfg *cfg, gpa_t entry, struct err *e)
{
	const struct conf_machine *conf = &cfg->config->machine;
	const struct vcpu_cfg vcpu = {
		.ports = &m->ports,
		.mmio = &m->mmio,
		.end = &m->end,
		.event_fd = m->vcpu_event,
		.isolation = cfg->isolation,
	};
	autofree struct kvm_cpuid2 *cpuid = NULL;
	int r = kvm_supported_cpuid(&m->kvm, &cpuid, e);

	if (r < 0)
		return r;
	if (conf->vcpu_count > m->kvm.max_vcpus)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "vcpu_count is %u, but this host's KVM runs at most %u vCPUs",
			       conf->vcpu_count, m->kvm.max_vcpus);
	m->vcpus = FAULT(-ENOMEM) < 0 ? NULL : calloc(conf->vcpu_count, sizeof(*m->vcpus));
	if (!m->vcpus)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "vCPUs: out of memory");
	while (m->nvcpus < conf->vcpu_count) {
		struct vcpu *v = &m->vcpus[m->nvcpus];

		r = vcpu_create(&m->kvm, &m->vm, m->nvcpus, &vcpu, v, e);
		if (r < 0)
			return r;
		m->nvcpus++;
		r = set_up_vcpu(v, conf, cpuid, entry, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_vcpus(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < m->nvcpus; i++) {
		int r = vcpu_start(&m->vcpus[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- the whole ------------------------------------------------------------ */

static int build_events(struct machine *m, struct err *e)
{
	int r = end_request_init(&m->end);

	if (r == 0) {
		m->has_end = true;
		m->vcpu_event = fd_event_create();
		r = m->vcpu_event < 0 ? m->vcpu_event : 0;
	}
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "eventfd: %s", strerror(-r)) : 0;
}

static int build(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_boot_source *boot = &cfg->config->boot_source;
	gpa_t entry = 0;
	int r = build_events(m, e);

	if (r < 0)
		return r;
	r = kvm_open(&m->kvm, e);
	if (r < 0)
		return r;
	r = vm_create(&m->kvm, &m->vm, e);
	if (r < 0)
		return r;
	r = build_memory(m, &cfg->config->machine, e);
	if (r < 0)
		return r;
	r = cmdline_init(&m->cmdline, boot->has_boot_args ? boot->boot_args : NULL, e);
	if (r < 0)
		return r;
	r = cmdline_add(&m->cmdline, "pci=off", e);
	if (r < 0)
		return r;
	r = build_platform(m, cfg, e);
	if (r < 0)
		return r;
	r = build_virtio(m, cfg, e);
	if (r < 0)
		return r;
	r = build_boot(m, cfg, &entry, e);
	if (r < 0)
		return r;
	r = build_vcpus(m, cfg, entry, e);
	if (r < 0)
		return r;
	return start_vcpus(m, e);
}

int machine_create(const struct machine_cfg *cfg, struct machine **ret_machine, struct err *e)
{
	struct machine *m = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "machine: out of memory");
	m->kvm.fd = m->vm.fd = m->vcpu_event = m->serial_irq = m->i8042_irq = -1;
	r = build(m, cfg, e);
	if (r < 0) {
		/* Threads there are have never run the guest: they park and obey at once. */
		machine_quit(m);
		machine_destroy(m);
		return r;
	}
	*ret_machine = m;
	return 0;
}

void machine_destroy(struct machine *machine)
{
	struct machine *m = machine;

	if (!m)
		return;
	for (unsigned i = 0; i < m->nvcpus; i++)
		vcpu_destroy(&m->vcpus[i]);
	free(m->vcpus);
	virtio_detach_all(&m->virtio);
	if (m->has_boot_timer)
		boot_timer_fini(&m->boot_timer);
	if (m->has_i8042)
		i8042_fini(&m->i8042);
	serial_destroy(m->serial);
	fd_close_(&m->i8042_irq);
	fd_close_(&m->serial_irq);
	vm_destroy(&m->vm);
	kvm_close(&m->kvm);
	backing_destroy(&m->backing);
	fd_close_(&m->vcpu_event);
	if (m->has_end)
		end_request_fini(&m->end);
	free(m);
}

static void order_all(struct machine *m, enum vcpu_order order)
{
	for (unsigned i = 0; i < m->nvcpus; i++)
		vcpu_order(&m->vcpus[i], order);
}

void machine_run(struct machine *machine)
{
	order_all(machine, VCPU_RUN);
}

void machine_park(struct machine *machine)
{
	order_all(machine, VCPU_PARK);
}

void machine_quit(struct machine *machine)
{
	order_all(machine, VCPU_QUIT);
}

enum machine_vcpus machine_vcpus(const struct machine *machine, struct err *e)
{
	unsigned parked = 0, stopped = 0;

	for (unsigned i = 0; i < machine->nvcpus; i++) {
		const struct vcpu *v = &machine->vcpus[i];

		switch (vcpu_state(v)) {
		case VCPU_FAILED:
			*e = v->failure;
			return MACHINE_VCPUS_FAILED;
		case VCPU_PARKED:
			parked++;
			break;
		case VCPU_STOPPED:
			stopped++;
			break;
		case VCPU_STARTING:
		case VCPU_RUNNING:
			break;
		}
	}
	if (parked == machine->nvcpus)
		return MACHINE_VCPUS_PARKED;
	return stopped == machine->nvcpus ? MACHINE_VCPUS_STOPPED : MACHINE_VCPUS_MOVING;
}

int machine_vcpu_event(const struct machine *machine)
{
	return machine->vcpu_event;
}

int machine_end_event(const struct machine *machine)
{
	return machine->end.fd;
}

enum end_reason machine_end_reason(const struct machine *machine)
{
	return end_requested(&machine->end);
}

struct boot_timer *machine_boot_timer(struct machine *machine)
{
	return machine->has_boot_timer ? &machine->boot_timer : NULL;
}

void machine_pause_devices(struct machine *machine)
{
	serial_quiesce(machine->serial);
	virtio_pause(&machine->virtio);
}

void machine_resume_devices(struct machine *machine)
{
	virtio_resume(&machine->virtio);
	serial_resume(machine->serial);
}

bool machine_devices_idle(struct machine *machine)
{
	return virtio_idle(&machine->virtio);
}

void machine_tell_paused(struct machine *machine)
{
	/* -EINVAL: the guest has no kvmclock, so it has nothing to be told by. */
	for (unsigned i = 0; i < machine->nvcpus; i++)
		(void)ioctl(machine->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
}

int machine_ctrl_alt_del(struct machine *machine, struct err *e)
{
	int r = i8042_ctrl_alt_del(&machine->i8042);

	if (r == -ENODEV)
		return err_set(
			e, ERR_STATE, r,
			"the guest has not enabled its keyboard: its kernel needs the i8042 and "
			"atkbd drivers");
	if (r < 0)
		return err_set(e, ERR_STATE, r,
			       "the guest has not read earlier key presses; try again");
	return 0;
}

void machine_flush_console(struct machine *machine, int limit_ms)
{
	serial_flush(machine->serial, limit_ms);
}
