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
#include "vmm/device_state.h"
#include "vmm/snapshot.h"
#include "vmm/x86/host_cpu.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/time_state.h"
#include "vmm/x86/vcpu_state.h"
#include "vmm/x86/vm_state.h"

enum { CONSOLE_LIMIT_MS = 1000 };

static struct device_state devices_of(struct machine *m)
{
	return (struct device_state){
		.virtio = &m->virtio,
		.serial = m->platform.serial,
		.i8042 = &m->platform.i8042,
	};
}

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

struct vcpu_fds {
	int fd[LAYOUT_VCPUS_MAX];
};

static struct time_vcpus clocks_of(const struct machine *m, struct vcpu_fds *fds)
{
	for (unsigned i = 0; i < m->nvcpus; i++)
		fds->fd[i] = m->vcpus[i].fd;
	return (struct time_vcpus){ .fds = fds->fd, .n = m->nvcpus };
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
	const struct device_state devices = devices_of(m);
	struct vcpu_fds fds;
	int r = save_config(config, out, e);

	if (r < 0)
		return r;
	save_machine(m, out);
	save_host(out);
	flush_console(m);
	r = device_state_save(&devices, out, e);
	if (r < 0)
		return r;
	r = time_state_save(m->vm.fd, clocks_of(m, &fds), out, e);
	if (r == 0)
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

static int load_vcpus(struct machine *m, struct snap_in *in, struct err *e)
{
	struct vcpu_host host = { 0 };
	int r = vcpu_host_init(&m->kvm, m->vm.fd, &host, e);

	for (unsigned i = 0; i < m->nvcpus && r == 0; i++)
		r = vcpu_state_load(&host, m->vcpus[i].fd, i, in, e);
	vcpu_host_fini(&host);
	return r;
}

int build_loaded(struct machine *m, const struct machine_load *load, struct err *e)
{
	const struct device_state devices = devices_of(m);
	struct snap_in *in = load->in;
	struct vcpu_fds fds;
	int r;

	compare_host(in);
	machine_pause_devices(m);
	r = time_state_load(m->vm.fd, clocks_of(m, &fds), load->clock_realtime, in, e);
	if (r == 0)
		r = load_vcpus(m, in, e);
	if (r == 0)
		r = vm_state_load(m->vm.fd, in, e);
	/* Last: the interrupts that they raise again find the controllers loaded. */
	if (r == 0)
		r = device_state_load(&devices, in, e);
	return r < 0 ? r : snap_in_end(in, e);
}
