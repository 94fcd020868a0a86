/* SPDX-License-Identifier: Apache-2.0 */
/* When an action is legal, and what the actions do that only configure. */
#include "vmm/action.h"

#include <string.h>

#include "devices/console.h"
#include "devices/virtio/block/open.h"
#include "mmds/doc.h"
#include "vmm/absent.h"
#include "vmm/life.h"
#include "vmm/mmds_actions.h"
#include "vmm/nets.h"

static int put_boot_source(struct vmm *vmm, const struct action *a, struct err *e)
{
	struct cmdline probe;
	int r;

	if (a->boot_source.has_boot_args) {
		r = cmdline_init(&probe, a->boot_source.boot_args, e);
		if (r < 0)
			return r;
	}
	r = files_open_boot_source(&vmm->files, &a->boot_source, e);
	if (r < 0)
		return r;
	vmm->config.boot_source = a->boot_source;
	vmm->config.has_boot_source = true;
	return 0;
}

/* Of a static and a custom CPU template the one that was given last counts. */
static void set_machine(struct vmm *vmm, const struct conf_machine *machine)
{
	vmm->config.machine = *machine;
	if (machine->has_cpu_template)
		vmm->config.has_cpu = false;
}

static int put_machine(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)e;
	set_machine(vmm, &a->machine);
	return 0;
}

static int patch_machine(struct vmm *vmm, const struct action *a, struct err *e)
{
	struct conf_machine patched = vmm->config.machine;
	int r = conf_machine_patch_apply(&a->machine_patch, &patched, e);

	if (r == 0)
		set_machine(vmm, &patched);
	return r;
}

static int put_cpu(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)e;
	vmm->config.cpu = a->cpu;
	vmm->config.has_cpu = true;
	vmm->config.machine.cpu_template = CONF_CPU_TEMPLATE_NONE;
	return 0;
}

static int put_drive(struct vmm *vmm, const struct action *a, struct err *e)
{
	autoclose int fd = -1;
	int r = blk_open(a->drive.path_on_host, a->drive.is_read_only, &fd, e);
	if (r < 0)
		return err_wrap(e, "Unable to create the virtio block device: Virtio backend "
				   "error");
	r = conf_config_put_drive(&vmm->config, &a->drive, e);
	if (r < 0)
		return r;
	files_keep_drive(&vmm->files, a->drive.drive_id, take_fd(&fd));
	return 0;
}

/*
 * The kernel lends a tap to one holder at a time: what the interface had is closed first
 * (contract, 1.4), and an interface that cannot have its new one is no more.
 */
static int put_net(struct vmm *vmm, const struct action *a, struct err *e)
{
	autoclose int fd = -1;
	int r = conf_config_check_net(&vmm->config, &a->net, e);

	if (r < 0)
		return r;
	files_keep_net(&vmm->files, a->net.iface_id, -1);
	r = nets_open(&a->net, vmm->cfg.handed, &fd, e);
	if (r < 0) {
		conf_config_drop_net(&vmm->config, a->net.iface_id);
		return err_wrap(e, "Could not create the network device");
	}
	r = conf_config_put_net(&vmm->config, &a->net, e);
	if (r < 0)
		return r;
	files_keep_net(&vmm->files, a->net.iface_id, take_fd(&fd));
	return 0;
}

static int patch_net(struct vmm *vmm, const struct action *a, struct err *e)
{
	const struct conf_net_patch *patch = &a->net_patch;
	struct conf_net *conf = conf_config_find_net(&vmm->config, patch->iface_id);
	struct vdev *dev = machine_net(vmm->machine, patch->iface_id);

	if (!conf || !dev)
		return err_set(e, ERR_INVALID, -ENODEV,
			       "Unable to patch the network device: Device not found: interface "
			       "`%s'",
			       patch->iface_id);
	conf_net_patch_apply(patch, conf);
	nets_set_limits(dev, &patch->rx_rate_limiter, &patch->tx_rate_limiter);
	return 0;
}

static int put_vsock(struct vmm *vmm, const struct action *a, struct err *e)
{
	int r = files_open_vsock(&vmm->files, &a->vsock, e);

	if (r < 0)
		return r;
	vmm->config.vsock = a->vsock;
	vmm->config.has_vsock = true;
	return 0;
}

static int put_entropy(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)e;
	vmm->config.entropy = a->entropy;
	vmm->config.has_entropy = true;
	return 0;
}

/* The same path again is the same console, with whoever is connected. */
static int put_serial(struct vmm *vmm, const struct action *a, struct err *e)
{
	const char *path = a->serial.socket_path;
	bool same = vmm->console && strcmp(console_path(vmm->console), path) == 0;
	struct console *console = same ? vmm->console : NULL;
	int r = 0;

	if (path[0] && !same)
		r = console_create(path, vmm->loop, &console, e);
	if (r < 0)
		return err_wrap(e, "socket_path cannot be opened");
	r = files_open_console(&vmm->files, &a->serial, e);
	if (r < 0)
		return r; /* there is a path, so there is no socket */
	if (!same)
		console_destroy(vmm->console);
	vmm->console = console;
	vmm->serial = a->serial;
	return 0;
}

static int put_logger(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	return vmm_configure_logger(&a->logger, e);
}

static int put_metrics(struct vmm *vmm, const struct action *a, struct err *e)
{
	return vmm_configure_metrics(vmm, &a->metrics, e);
}

static int ctrl_alt_del(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)a;
	return machine_ctrl_alt_del(vmm->machine, e);
}

static int flush_metrics(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)a;
	return flush_now(&vmm->flush, e);
}

static int instance_start(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)a;
	return vmm_begin_start(vmm, e);
}

static int pause_machine(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)a;
	(void)e;
	return vmm_begin_pause(vmm);
}

static int resume_machine(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)a;
	(void)e;
	return vmm_resume(vmm);
}

static int create_snapshot(struct vmm *vmm, const struct action *a, struct err *e)
{
	return vmm_begin_snapshot(vmm, &a->snapshot_create, e);
}

static int load_snapshot(struct vmm *vmm, const struct action *a, struct err *e)
{
	return vmm_begin_load(vmm, &a->snapshot_load, e);
}

static const struct rule {
	bool before, after; /* legal before the start, after it */
	const char *error;  /* begins the text when it fails; NULL: nothing does */
	int (*run)(struct vmm *vmm, const struct action *a, struct err *e);
} rules[] = {
	[ACTION_PUT_BOOT_SOURCE] = { true, false, "Boot source error", put_boot_source },
	[ACTION_PUT_MACHINE_CONFIG] = { true, false, "Machine config error", put_machine },
	[ACTION_PATCH_MACHINE_CONFIG] = { true, false, "Machine config error", patch_machine },
	[ACTION_PUT_CPU_CONFIG] = { true, false, "Configure CPU error", put_cpu },
	[ACTION_PUT_DRIVE] = { true, false, "Drive config error", put_drive },
	[ACTION_PATCH_DRIVE] = { false, true, "Drive config error", vmm_begin_drive_patch },
	[ACTION_PUT_NET] = { true, false, "Network config error", put_net },
	[ACTION_PATCH_NET] = { false, true, "Network config error", patch_net },
	[ACTION_PUT_VSOCK] = { true, false, "Vsock config error", put_vsock },
	[ACTION_PUT_MMDS_CONFIG] = { true, false, "MMMDS config error", mmds_put_config },
	[ACTION_PUT_MMDS] = { true, true, NULL, mmds_put_document },
	[ACTION_PATCH_MMDS] = { true, true, NULL, mmds_patch_document },
	[ACTION_PUT_ENTROPY] = { true, false, "Entropy config error", put_entropy },
	[ACTION_PUT_SERIAL] = { true, false, "Serial config error", put_serial },
	[ACTION_PUT_LOGGER] = { true, false, "Logger error", put_logger },
	[ACTION_PUT_METRICS] = { true, false, "Metrics error", put_metrics },
	[ACTION_INSTANCE_START] = { true, false, "Start microvm error", instance_start },
	[ACTION_SEND_CTRL_ALT_DEL] = { false, true, "Internal VMM error", ctrl_alt_del },
	[ACTION_FLUSH_METRICS] = { false, true, "Internal VMM error", flush_metrics },
	[ACTION_PAUSE] = { false, true, "Internal VMM error", pause_machine },
	[ACTION_RESUME] = { false, true, "Internal VMM error", resume_machine },
	[ACTION_SNAPSHOT_CREATE] = { false, true, "Create snapshot error", create_snapshot },
	[ACTION_SNAPSHOT_LOAD] = { true, false, "Load snapshot error", load_snapshot },
	[ACTION_PUT_BALLOON] = { true, false, "Balloon config error", absent_balloon },
	[ACTION_PUT_PMEM] = { true, false, "Pmem config error", absent_pmem },
	[ACTION_PUT_MEMORY_HOTPLUG] = { true, false, "Memory hotplug config error",
					absent_memory_hotplug },
	[ACTION_BALLOON_REQUEST] = { false, true, "Balloon config error", absent_balloon_request },
	[ACTION_BALLOON_PATCH] = { false, true, "Balloon update error", absent_balloon_request },
	[ACTION_PMEM_PATCH] = { false, true, "Pmem config error", absent_pmem_request },
	[ACTION_MEMORY_HOTPLUG_REQUEST] = { false, true, "Memory hotplug update error",
					    absent_memory_hotplug_request },
	[ACTION_UNPLUG] = { false, true, NULL, absent_unplug },
};

/* Once one of these was tried, even in vain, no snapshot can be loaded any more. */
static const bool configures_boot[ARRAY_SIZE(rules)] = {
	[ACTION_PUT_BOOT_SOURCE] = true,
	[ACTION_PUT_MACHINE_CONFIG] = true,
	[ACTION_PATCH_MACHINE_CONFIG] = true,
	[ACTION_PUT_DRIVE] = true,
	[ACTION_PUT_NET] = true,
	[ACTION_PUT_VSOCK] = true,
	[ACTION_PUT_MMDS_CONFIG] = true,
	[ACTION_PUT_ENTROPY] = true,
	[ACTION_PUT_BALLOON] = true,
	[ACTION_PUT_PMEM] = true,
	[ACTION_PUT_MEMORY_HOTPLUG] = true,
};

static const char *refusal_after_start(enum action_type type)
{
	/* A device put then would be a hot-plug, which takes PCI. */
	return type == ACTION_PUT_DRIVE || type == ACTION_PUT_NET || type == ACTION_PUT_PMEM
		       ? "PCI is not enabled"
		       : "The requested operation is not supported after starting the microVM.";
}

static int run(struct vmm *vmm, struct action *a)
{
	const struct rule *rule = &rules[a->type];
	bool started = vmm->state != VMM_NOT_STARTED;
	int r;

	if (!a->invalid)
		a->err = (struct err){ 0 };
	if (vmm->state == VMM_ENDING)
		return err_set(&a->err, ERR_STATE, -ESHUTDOWN, "The microVM is ending.");
	if (started && !rule->after)
		return err_set(&a->err, ERR_STATE, -EBUSY, "%s", refusal_after_start(a->type));
	if (!started && !rule->before)
		return err_set(
			&a->err, ERR_STATE, -EBUSY,
			"The requested operation is not supported before starting the microVM.");
	vmm->boot_path |= configures_boot[a->type];
	r = a->invalid ? a->err.code : rule->run(vmm, a, &a->err);
	return r < 0 ? action_fail(a) : r;
}

int action_run(struct vmm *vmm, struct action *a)
{
	int r = run(vmm, a);

	/* The document that it brought; the store has a reference of its own. */
	if (a->type == ACTION_PUT_MMDS || a->type == ACTION_PATCH_MMDS) {
		mmds_doc_unref(a->mmds);
		a->mmds = NULL;
	}
	return r;
}

int action_fail(struct action *a)
{
	const char *error = rules[a->type].error;

	return error ? err_wrap(&a->err, "%s", error) : a->err.code;
}
