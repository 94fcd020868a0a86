/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine to records and back. Nothing is in flight when it is saved: vCPUs are parked
 * and have taken the results of their accesses, and every ring's requests are published
 * with their interrupts. What has been raised and not yet taken is raised again by the
 * device that is loaded, so it does not matter where it was on its way.
 */
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "devices/serial.h"
#include "vmm/build.h"
#include "vmm/snapshot.h"
#include "vmm/x86/host_cpu.h"
#include "vmm/x86/vcpu_state.h"
#include "vmm/x86/vm_state.h"

enum { CONSOLE_LIMIT_MS = 1000 };

/* --- save ------------------------------------------------------------------- */

static int save_config(const struct conf_config *config, struct snap_out *out, struct err *e)
{
	autofree char *buf = FAULT(-ENOMEM) < 0 ? NULL : malloc(CONF_CONFIG_TEXT_MAX);
	struct state_out *o;
	struct text t;

	if (!buf)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for the configuration");
	text_init(&t, buf, CONF_CONFIG_TEXT_MAX);
	conf_config_print(&t, config);
	if (!text_ok(&t))
		return err_set(e, ERR_INTERNAL, -EFBIG, "the configuration is too long");
	state_put_mem(snap_begin(out, SNAP_CONFIG, 0, SNAP_REQUIRED), t.buf, t.len);
	snap_end(out);
	if (!config->has_cpu)
		return 0;
	o = snap_begin(out, SNAP_KVM_CAPS, 0, SNAP_REQUIRED);
	for (unsigned i = 0; i < config->cpu.ncapabilities; i++) {
		state_put_u32(o, config->cpu.capability[i].id);
		state_put_u8(o, config->cpu.capability[i].remove);
	}
	snap_end(out);
	return 0;
}

static void save_machine(const struct machine *m, struct snap_out *out)
{
	struct state_out *o = snap_begin(out, SNAP_MACHINE, 0, SNAP_REQUIRED);

	state_put_u32(o, m->nvcpus);
	state_put_u32(o, m->mem.nregions);
	for (unsigned i = 0; i < m->mem.nregions; i++) {
		state_put_u64(o, m->mem.region[i].base);
		state_put_u64(o, m->mem.region[i].size);
	}
	snap_end(out);
}

static void save_host(struct snap_out *out)
{
	struct host_cpu host;

	host_cpu_read(&host);
	state_put_mem(snap_begin(out, SNAP_HOST, 0, SNAP_OPTIONAL), &host.id, sizeof(host.id));
	snap_end(out);
}

static int save_virtio(struct machine *m, struct snap_out *out, struct err *e)
{
	for (unsigned i = 0; i < m->virtio.n; i++) {
		struct virtio_mmio *mmio = m->virtio.slot[i].mmio;
		struct state_out *o = snap_begin(out, SNAP_VIRTIO, i, SNAP_REQUIRED);
		int r;

		state_put_u32(o, vdev_id(virtio_mmio_dev(mmio)));
		r = virtio_mmio_save(mmio, o);
		snap_end(out);
		if (r < 0)
			return err_set(e, ERR_INTERNAL, r, "%s: its state is too large",
				       vdev_name(virtio_mmio_dev(mmio)));
	}
	return 0;
}

static void save_serial(struct serial *serial, struct snap_out *out)
{
	struct state_out *o = snap_begin(out, SNAP_SERIAL, 0, SNAP_REQUIRED);
	struct serial_state s;

	serial_save(serial, &s);
	state_put_u8(o, s.ier);
	state_put_u8(o, s.fcr);
	state_put_u8(o, s.lcr);
	state_put_u8(o, s.mcr);
	state_put_u8(o, s.scr);
	state_put_u8(o, s.dll);
	state_put_u8(o, s.dlm);
	state_put_u8(o, s.lsr_errors);
	state_put_u8(o, s.msr_deltas);
	state_put_u8(o, s.thre_pending);
	state_put_u8(o, s.nrx);
	state_put_mem(o, s.rx, sizeof(s.rx));
	snap_end(out);
}

static void save_i8042(struct i8042 *i8042, struct snap_out *out)
{
	struct state_out *o = snap_begin(out, SNAP_I8042, 0, SNAP_REQUIRED);
	struct i8042_state s;

	i8042_save(i8042, &s);
	state_put_u8(o, s.command_byte);
	state_put_u8(o, s.command);
	state_put_u8(o, s.kbd_command);
	state_put_u8(o, s.output_port);
	state_put_u8(o, s.scanning);
	state_put_u8(o, s.used);
	state_put_u8(o, s.nbuffer);
	state_put_mem(o, s.buffer, sizeof(s.buffer));
	snap_end(out);
}

/* What the guest has sent is the host's: of a console that takes it there is nothing left. */
static void flush_console(struct machine *m)
{
	uint32_t unsent;

	serial_flush(m->platform.serial, CONSOLE_LIMIT_MS);
	unsent = serial_unsent(m->platform.serial);
	if (unsent > 0)
		log_warn("the snapshot is without %u bytes of console output, which nobody has "
			 "taken in %d ms",
			 unsent, CONSOLE_LIMIT_MS);
}

static int save_vcpus(struct machine *m, struct snap_out *out, struct err *e)
{
	struct vcpu_host host = { 0 };
	int r = vcpu_host_init(&m->kvm, m->vm.fd, &host, e);

	for (unsigned i = 0; i < m->nvcpus && r == 0; i++)
		r = vcpu_state_save(&host, m->vcpus[i].fd, i, out, e);
	vcpu_host_fini(&host);
	return r;
}

int machine_save(struct machine *machine, const struct conf_config *config, struct snap_out *out,
		 struct err *e)
{
	struct machine *m = machine;
	int r = save_config(config, out, e);

	if (r < 0)
		return r;
	save_machine(m, out);
	save_host(out);
	r = save_virtio(m, out, e);
	if (r < 0)
		return r;
	flush_console(m);
	save_serial(m->platform.serial, out);
	save_i8042(&m->platform.i8042, out);
	r = vm_state_save(m->vm.fd, out, e);
	return r < 0 ? r : save_vcpus(m, out, e);
}

/* --- load ------------------------------------------------------------------- */

/* Another maker's processor has other instructions: what comes of it is for KVM to say. */
static void compare_host(struct snap_in *in)
{
	struct cpuid_regs saved = { 0 };
	struct host_cpu host;
	struct state_in s;
	struct err ignored;

	if (!snap_has(in, SNAP_HOST, 0) || snap_take(in, SNAP_HOST, 0, &s, &ignored) < 0)
		return;
	host_cpu_read(&host);
	state_get_mem(&s, &saved, sizeof(saved));
	if (saved.ebx != host.id.ebx || saved.ecx != host.id.ecx || saved.edx != host.id.edx)
		log_warn("the snapshot was taken on another vendor's processor: the guest may not "
			 "run on this one");
}

static int load_virtio(struct machine *m, struct snap_in *in, struct err *e)
{
	for (unsigned i = 0; i < m->virtio.n; i++) {
		struct virtio_mmio *mmio = m->virtio.slot[i].mmio;
		struct vdev *dev = virtio_mmio_dev(mmio);
		struct state_in s;
		uint32_t id;
		int r = snap_take(in, SNAP_VIRTIO, i, &s, e);

		if (r < 0)
			return err_wrap(e, "%s", vdev_name(dev));
		id = state_get_u32(&s);
		if (id != vdev_id(dev))
			return err_set(e, ERR_INVALID, -EINVAL,
				       "%s: record `" SNAP_VIRTIO "' %u is of a device of type %u",
				       vdev_name(dev), i, id);
		r = virtio_mmio_load(mmio, &s, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_serial(struct serial *serial, struct snap_in *in, struct err *e)
{
	struct serial_state to = { 0 };
	struct state_in s;
	int r = snap_take(in, SNAP_SERIAL, 0, &s, e);

	if (r < 0)
		return r;
	to.ier = state_get_u8(&s);
	to.fcr = state_get_u8(&s);
	to.lcr = state_get_u8(&s);
	to.mcr = state_get_u8(&s);
	to.scr = state_get_u8(&s);
	to.dll = state_get_u8(&s);
	to.dlm = state_get_u8(&s);
	to.lsr_errors = state_get_u8(&s);
	to.msr_deltas = state_get_u8(&s);
	to.thre_pending = state_get_u8(&s);
	to.nrx = state_get_u8(&s);
	state_get_mem(&s, to.rx, sizeof(to.rx));
	r = snap_taken(&s, SNAP_SERIAL, 0, e);
	if (r == 0 && serial_load(serial, &to) < 0)
		r = err_set(e, ERR_INVALID, -EINVAL,
			    "record `" SNAP_SERIAL "' 0 is of no state that a UART can have");
	return r;
}

static int load_i8042(struct i8042 *i8042, struct snap_in *in, struct err *e)
{
	struct i8042_state to = { 0 };
	struct state_in s;
	int r = snap_take(in, SNAP_I8042, 0, &s, e);

	if (r < 0)
		return r;
	to.command_byte = state_get_u8(&s);
	to.command = state_get_u8(&s);
	to.kbd_command = state_get_u8(&s);
	to.output_port = state_get_u8(&s);
	to.scanning = state_get_u8(&s);
	to.used = state_get_u8(&s);
	to.nbuffer = state_get_u8(&s);
	state_get_mem(&s, to.buffer, sizeof(to.buffer));
	r = snap_taken(&s, SNAP_I8042, 0, e);
	if (r == 0 && i8042_load(i8042, &to) < 0)
		r = err_set(e, ERR_INVALID, -EINVAL,
			    "record `" SNAP_I8042 "' 0 is of no state that a controller can have");
	return r;
}

static int load_vcpus(struct machine *m, struct snap_in *in, struct err *e)
{
	struct vcpu_host host = { 0 };
	int r = vcpu_host_init(&m->kvm, m->vm.fd, &host, e);

	for (unsigned i = 0; i < m->nvcpus && r == 0; i++)
		r = vcpu_state_load(&host, m->vcpus[i].fd, i, in, e);
	vcpu_host_fini(&host);
	return r;
}

/* Devices last: the interrupts that they raise again find the controllers loaded. */
static int load_devices(struct machine *m, struct snap_in *in, struct err *e)
{
	int r = load_virtio(m, in, e);

	if (r == 0)
		r = load_serial(m->platform.serial, in, e);
	return r == 0 ? load_i8042(&m->platform.i8042, in, e) : r;
}

int build_loaded(struct machine *m, const struct machine_load *load, struct err *e)
{
	struct snap_in *in = load->in;
	int r;

	compare_host(in);
	machine_pause_devices(m);
	r = load_vcpus(m, in, e);
	if (r == 0)
		r = vm_state_load(m->vm.fd, load->clock_realtime, in, e);
	if (r == 0)
		r = load_devices(m, in, e);
	return r < 0 ? r : snap_in_end(in, e);
}
