/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/stage.h"
#include "devices/serial.h"
#include "vmm/build.h"
#include "vmm/x86/cpu.h"

/* --- memory --------------------------------------------------------------- */

static int build_memory(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	static const enum backing_pages pages[] = {
		[CONF_HUGE_PAGES_NONE] = BACKING_PAGES_DEFAULT,
		[CONF_HUGE_PAGES_TRANSPARENT] = BACKING_PAGES_TRANSPARENT,
		[CONF_HUGE_PAGES_2M] = BACKING_PAGES_2M,
	};
	const struct conf_machine *conf = &cfg->config->machine;
	uint64_t size = conf->mem_size_mib << 20; /* checked not to wrap */
	struct layout_ram ram = layout_ram(size);
	uint8_t *hva;
	int r;

	if (cfg->load)
		r = backing_map_file(cfg->load->memory_fd, size, pages[conf->huge_pages],
				     &m->backing, e);
	else
		r = backing_create(size, conf->shared_memory ? BACKING_SHARED : BACKING_PRIVATE,
				   pages[conf->huge_pages], &m->backing, e);
	if (r < 0)
		return r;
	hva = m->backing.hva;
	for (unsigned i = 0; i < ram.n; i++) {
		r = gmem_add(&m->mem, ram.region[i].base, ram.region[i].size, hva);
		if (r < 0)
			return err_set(e, ERR_INTERNAL, r, "memory region: %s", strerror(-r));
		r = vm_add_memory(&m->vm, ram.region[i].base, ram.region[i].size, hva,
				  conf->track_dirty_pages, e);
		if (r < 0)
			return err_wrap(e,
					"%llu MiB of guest memory are refused; lower mem_size_mib",
					(unsigned long long)conf->mem_size_mib);
		hva += ram.region[i].size;
	}
	return 0;
}

/* --- vCPUs ---------------------------------------------------------------- */

static int build_vcpus(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	const struct conf_machine *conf = &cfg->config->machine;
	const struct vcpu_cfg vcpu = {
		.ports = &m->ports,
		.mmio = &m->mmio,
		.end = &m->end,
		.event_fd = m->vcpu_event,
		.isolation = cfg->isolation,
	};

	if (conf->vcpu_count > m->kvm.max_vcpus)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "vcpu_count is %u, but this host's KVM runs at most %u vCPUs",
			       conf->vcpu_count, m->kvm.max_vcpus);
	m->vcpus = FAULT(-ENOMEM) < 0 ? NULL : calloc(conf->vcpu_count, sizeof(*m->vcpus));
	if (!m->vcpus)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "vCPUs: out of memory");
	while (m->nvcpus < conf->vcpu_count) {
		struct vcpu *v = &m->vcpus[m->nvcpus];
		int r = vcpu_create(&m->kvm, &m->vm, m->nvcpus, &vcpu, v, e);

		if (r < 0)
			return r;
		m->nvcpus++;
	}
	return 0;
}

/* Memory and vCPUs as the kernel's entry point wants them. */
static int boot(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	auto_cpu struct cpu *cpu = NULL;
	struct kernel_image kernel;
	int r = build_boot(m, cfg, &kernel, e);

	if (r == 0)
		stage_mark(STAGE_KERNEL_LOADED);
	if (r == 0)
		r = cpu_create(&m->kvm, cfg->config, &cpu, e);
	if (r == 0)
		r = build_vcpus(m, cfg, e);
	for (unsigned i = 0; i < m->nvcpus && r == 0; i++)
		r = cpu_set_up(cpu, i, m->vcpus[i].fd, &kernel, e);
	return r;
}

/* Everything as a snapshot has it. */
static int load(struct machine *m, const struct machine_cfg *cfg, struct err *e)
{
	int r;

	cpu_permit(); /* what the snapshot's processor may have used */
	r = build_vcpus(m, cfg, e);
	return r < 0 ? r : build_loaded(m, cfg->load, e);
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
	const struct conf_boot_source *source = &cfg->config->boot_source;
	const struct platform_where where = {
		.vm = &m->vm,
		.mem = &m->mem,
		.ports = &m->ports,
		.mmio = &m->mmio,
		.end = &m->end,
	};
	int r = build_events(m, e);

	if (r < 0)
		return r;
	stage_forget_machine();
	r = kvm_open_with(cfg->config->has_cpu ? &cfg->config->cpu : NULL, &m->kvm, e);
	if (r < 0)
		return r;
	r = vm_create(&m->kvm, &m->vm, e);
	if (r < 0)
		return r;
	stage_mark(STAGE_VM_CREATED);
	r = build_memory(m, cfg, e);
	if (r < 0)
		return r;
	stage_mark(STAGE_MEMORY);
	r = cmdline_init(&m->cmdline, source->has_boot_args ? source->boot_args : NULL, e);
	if (r < 0)
		return r;
	m->pic_only = cmdline_has(&m->cmdline, "noapic");
	r = cmdline_add(&m->cmdline, "pci=off", e);
	if (r < 0)
		return r;
	r = platform_build(&m->platform, &where, cfg, e);
	if (r < 0)
		return r;
	r = build_virtio(m, cfg, e);
	if (r < 0)
		return r;
	r = cfg->load ? load(m, cfg, e) : boot(m, cfg, e);
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
	m->kvm.fd = m->vm.fd = m->vcpu_event = -1;
	platform_init(&m->platform);
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
	mmds_nets_fini(&m->mmds_nets);
	nets_fini(&m->nets);
	drives_fini(&m->drives);
	platform_fini(&m->platform);
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
	return machine->platform.has_boot_timer ? &machine->platform.boot_timer : NULL;
}

struct vdev *machine_drive(struct machine *machine, const char *id)
{
	return drives_find(&machine->drives, id);
}

struct vdev *machine_net(struct machine *machine, const char *id)
{
	return nets_find(&machine->nets, id);
}

void machine_pause_devices(struct machine *machine)
{
	serial_quiesce(machine->platform.serial);
	virtio_pause(&machine->virtio);
}

void machine_resume_devices(struct machine *machine)
{
	virtio_resume(&machine->virtio);
	serial_resume(machine->platform.serial);
}

bool machine_devices_idle(struct machine *machine)
{
	return virtio_idle(&machine->virtio);
}

void machine_tell_paused(struct machine *machine)
{
	for (unsigned i = 0; i < machine->nvcpus; i++) {
		struct vcpu *v = &machine->vcpus[i];

		/* -EINVAL: the guest has no kvmclock, so it has nothing to be told by. */
		if (ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL)
			counter_inc(&v->metrics.kvmclock_ctrl_fails);
	}
}

void machine_tell_loaded(struct machine *machine)
{
	/* By ACPI's event device; a guest that has no ACPI does not look. */
	irq_raise(&(struct irq){ .fd = machine->platform.vmgenid_irq });
	irq_raise(&(struct irq){ .fd = machine->platform.vmclock_irq });
}

const struct backing *machine_memory(const struct machine *machine)
{
	return &machine->backing;
}

int machine_sync_drives(struct machine *machine, struct err *e)
{
	return drives_sync(&machine->drives, e);
}

int machine_ctrl_alt_del(struct machine *machine, struct err *e)
{
	int r = i8042_ctrl_alt_del(&machine->platform.i8042);

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
	serial_flush(machine->platform.serial, limit_ms);
}
