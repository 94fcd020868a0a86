/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life cycle: actions that need vCPUs to obey or work to end are states that the
 * loop steps through on events, while everything else goes on.
 *
 *   NOT_STARTED -> STARTING -> RUNNING <-> PAUSING -> PAUSED -> RUNNING
 *        ^------------' failed     `-----------'---------'--> ENDING
 *
 * A machine from a snapshot goes from STARTING to PAUSED; a failure ends the process then,
 * because what was loaded cannot be told from what was configured.
 */
#include "vmm/life.h"

#include <string.h>

#include "base/events.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/stage.h"
#include "base/term.h"
#include "vmm/drive_patch.h"
#include "vmm/snapshot_create.h"
#include "vmm/snapshot_load.h"

enum { SETTLE_POLL_MS = 1, PAUSE_LIMIT_S = 10, END_LIMIT_S = 5 };

void life_drop_machine(struct vmm *vmm)
{
	loop_timer_cancel(vmm->loop, &vmm->settle);
	loop_remove(vmm->loop, &vmm->vcpu_src);
	loop_remove(vmm->loop, &vmm->end_src);
	loop_remove(vmm->loop, &vmm->boot_timer_src);
	machine_destroy(vmm->machine);
	vmm->machine = NULL;
}

/* Those that wait are refused; the loop ends with this turn. */
static void end_after_failed_load(struct vmm *vmm)
{
	vmm->end = END_LOAD_FAILED;
	vmm->state = VMM_ENDING;
	loop_stop(vmm->loop);
}

static void fail_start(struct vmm *vmm)
{
	/* No vCPU has run the guest: parked, they obey at once. */
	machine_quit(vmm->machine);
	life_drop_machine(vmm);
	vmm->state = VMM_NOT_STARTED;
	if (vmm->loaded)
		end_after_failed_load(vmm);
	vmm_fail_current(vmm);
	vmm_take_next(vmm);
}

/* Standard input is left alone when the console is a socket: Ctrl-C is for us then. */
static int console_in(const struct vmm *vmm)
{
	return vmm->console ? -1 : vmm->cfg.stdin_fd;
}

static void resume(struct vmm *vmm)
{
	machine_resume_devices(vmm->machine);
	machine_tell_paused(vmm->machine);
	machine_run(vmm->machine);
	vmm->state = VMM_RUNNING;
	flush_thaw(&vmm->flush);
	event_emit("resumed", NULL);
}

/* All vCPUs are isolated and parked: isolate main, then let the guest run. */
static void finish_start(struct vmm *vmm)
{
	const struct isolation *iso = vmm->cfg.isolation;
	struct err *e = &vmm->current->err;

	if (iso && !vmm->confined && iso->enter(iso, THREAD_VMM, e) < 0) {
		fail_start(vmm);
		return;
	}
	vmm->confined = true;
	if (term_make_raw(console_in(vmm)) < 0)
		log_warn("the terminal on standard input cannot be made raw");
	if (vmm->cfg.handed)
		handed_close(vmm->cfg.handed);
	flush_start(&vmm->flush);
	if (vmm->loaded) {
		machine_tell_loaded(vmm->machine);
		vmm->state = VMM_PAUSED;
		flush_freeze(&vmm->flush);
		event_emit("loaded", NULL);
		if (vmm->resume_loaded)
			resume(vmm);
	} else {
		machine_run(vmm->machine);
		vmm->state = VMM_RUNNING;
		event_emit("started", NULL);
	}
	vmm_succeed(vmm);
}

static void settle_again(struct vmm *vmm, usec_t after)
{
	loop_timer_set(vmm->loop, &vmm->settle, clock_monotonic() + after);
}

static bool late(const struct vmm *vmm, unsigned limit_s)
{
	return vmm->settle_since + limit_s * USEC_PER_SEC < clock_monotonic();
}

/* The machine goes on as if the pause had not been asked for. */
static void give_up_pause(struct vmm *vmm, bool parked)
{
	struct err *e = &vmm->current->err;

	if (parked)
		machine_resume_devices(vmm->machine);
	machine_run(vmm->machine);
	vmm->state = VMM_RUNNING;
	if (err_set(e, ERR_INTERNAL, -ETIMEDOUT, "%s within %d s; the microVM runs on",
		    parked ? "a drive's host file has not answered" : "a vCPU has not stopped",
		    PAUSE_LIMIT_S) < 0)
		vmm_fail_current(vmm);
	vmm_take_next(vmm);
}

static void go_on_pausing(struct vmm *vmm)
{
	struct err e = { 0 };
	bool parked = machine_vcpus(vmm->machine, &e) == MACHINE_VCPUS_PARKED;

	if (parked)
		machine_pause_devices(vmm->machine);
	if (parked && machine_devices_idle(vmm->machine)) {
		loop_timer_cancel(vmm->loop, &vmm->settle);
		vmm->state = VMM_PAUSED;
		flush_freeze(&vmm->flush);
		event_emit("paused", NULL);
		vmm_succeed(vmm);
	} else if (late(vmm, PAUSE_LIMIT_S)) {
		give_up_pause(vmm, parked);
	} else {
		/* vCPUs give an event when they park; of devices we only know by looking. */
		settle_again(vmm, parked ? SETTLE_POLL_MS * USEC_PER_MSEC
					 : PAUSE_LIMIT_S * USEC_PER_SEC);
	}
}

/* Ends the loop when nothing moves in the machine any more, or patience has ended. */
static void finish_end(struct vmm *vmm)
{
	struct err e = { 0 };
	bool stopped = machine_vcpus(vmm->machine, &e) == MACHINE_VCPUS_STOPPED;

	if (stopped)
		machine_pause_devices(vmm->machine);
	if (stopped && machine_devices_idle(vmm->machine)) {
		loop_stop(vmm->loop);
	} else if (!late(vmm, END_LIMIT_S)) {
		settle_again(vmm,
			     stopped ? SETTLE_POLL_MS * USEC_PER_MSEC : END_LIMIT_S * USEC_PER_SEC);
	} else {
		log_err("%s within %d s; ending without waiting",
			stopped ? "a drive's host file has not answered" : "vCPUs have not stopped",
			END_LIMIT_S);
		vmm->stuck = true;
		loop_stop(vmm->loop);
	}
}

static void on_vcpus(struct loop_src *src, uint32_t events)
{
	struct vmm *vmm = container_of(src, struct vmm, vcpu_src);
	struct err e = { 0 };
	enum machine_vcpus vcpus;

	(void)events;
	(void)fd_event_take(src->fd);
	vcpus = machine_vcpus(vmm->machine, &e);
	if (vmm->state == VMM_STARTING && vcpus == MACHINE_VCPUS_FAILED) {
		vmm->current->err = e;
		fail_start(vmm);
	} else if (vmm->state == VMM_STARTING && vcpus == MACHINE_VCPUS_PARKED) {
		finish_start(vmm);
	} else if (vmm->state == VMM_PAUSING && vcpus == MACHINE_VCPUS_PARKED) {
		go_on_pausing(vmm);
	} else if (vmm->state == VMM_ENDING && vcpus == MACHINE_VCPUS_STOPPED) {
		finish_end(vmm);
	}
}

/* The pending action is done, or has failed, or goes on after a while. */
static void settle_action(struct vmm *vmm, int r, usec_t after)
{
	if (r == ACTION_PENDING) {
		settle_again(vmm, after);
	} else if (r < 0) {
		vmm_fail_current(vmm);
		vmm_take_next(vmm);
	} else {
		vmm_succeed(vmm);
	}
}

/* The drive that the pending action is about may have become idle. */
static void finish_drive_patch(struct vmm *vmm)
{
	int r = drive_patch_go_on(vmm, vmm->current, &vmm->current->err);

	settle_action(vmm, r, SETTLE_POLL_MS * USEC_PER_MSEC);
}

/* Whatever else has become ready in the meantime has its turn between two pieces. */
static void go_on_snapshot(struct vmm *vmm)
{
	settle_action(vmm, snapshot_create_go_on(vmm, &vmm->current->err), 0);
}

/* Time has passed in a state that waits for vCPUs or devices. */
static void on_settle(struct loop_timer *timer)
{
	struct vmm *vmm = container_of(timer, struct vmm, settle);

	if (vmm->patch.dev)
		finish_drive_patch(vmm);
	else if (vmm->snapshot)
		go_on_snapshot(vmm);
	else if (vmm->state == VMM_ENDING)
		finish_end(vmm);
	else if (vmm->state == VMM_PAUSING)
		go_on_pausing(vmm);
}

static void on_end(struct loop_src *src, uint32_t events)
{
	struct vmm *vmm = container_of(src, struct vmm, end_src);

	(void)events;
	(void)fd_event_take(src->fd);
	if (vmm->state == VMM_ENDING)
		return;
	vmm->end = machine_end_reason(vmm->machine);
	log_info("Vmm is stopping.");
	event_emit(end_reason_name(vmm->end), NULL);
	vmm->state = VMM_ENDING;
	drive_patch_drop(vmm);
	snapshot_create_drop(vmm);
	machine_quit(vmm->machine);
	vmm->settle_since = clock_monotonic();
	settle_again(vmm, END_LIMIT_S * USEC_PER_SEC);
	if (vmm->current) {
		struct err *e = &vmm->current->err;

		if (err_set(e, ERR_STATE, -ESHUTDOWN, "the microVM ended: %s",
			    end_reason_name(vmm->end)) < 0)
			vmm_fail_current(vmm);
	}
	vmm_take_next(vmm); /* those that waited behind it are refused while there is time */
}

static void on_boot_timer(struct loop_src *src, uint32_t events)
{
	struct vmm *vmm = container_of(src, struct vmm, boot_timer_src);
	const struct boot_timer *timer = machine_boot_timer(vmm->machine);
	char text[BOOT_TIMER_TEXT_MAX];

	(void)events;
	(void)fd_event_take(src->fd);
	if (!boot_timer_text(timer, text))
		return;
	log_info("%s", text);
	stage_mark_at(STAGE_BOOT_TIMER, timer->start + timer->took);
}

static int watch_machine(struct vmm *vmm, struct err *e)
{
	struct boot_timer *timer = machine_boot_timer(vmm->machine);
	int r = vmm_watch(vmm, &vmm->vcpu_src, machine_vcpu_event(vmm->machine), on_vcpus, e);

	if (r < 0)
		return r;
	r = vmm_watch(vmm, &vmm->end_src, machine_end_event(vmm->machine), on_end, e);
	if (r < 0 || !timer)
		return r;
	return vmm_watch(vmm, &vmm->boot_timer_src, timer->fd, on_boot_timer, e);
}

/* --- start, pause, resume ---------------------------------------------------- */

static int check_startable(const struct vmm *vmm, struct err *e)
{
	const struct conf_machine *m = &vmm->config.machine;

	if (!vmm->config.has_boot_source)
		return err_set(e, ERR_STATE, -ENOENT,
			       "Cannot start microvm without kernel configuration.");
	return conf_machine_check(m, e);
}

static int console_out(const struct vmm *vmm)
{
	if (vmm->console)
		return -1;
	return vmm->files.console >= 0 ? vmm->files.console : vmm->cfg.stdout_fd;
}

/* From the configuration and its files; `load': NULL boots the kernel. */
static int build_machine(struct vmm *vmm, const struct machine_load *load, struct err *e)
{
	int drive_fd[CONF_DRIVES_MAX], net_fd[CONF_NETS_MAX];
	const struct machine_cfg cfg = {
		.config = &vmm->config,
		.kernel_fd = vmm->files.kernel,
		.initrd_fd = vmm->files.initrd,
		.drive_fd = drive_fd,
		.net_fd = net_fd,
		.vsock_fd = vmm->files.vsock.fd,
		.console_out = console_out(vmm),
		.console_in = console_in(vmm),
		.console = vmm->console,
		.serial = &vmm->serial,
		.mmds = vmm->mmds,
		.boot_timer = vmm->cfg.boot_timer,
		.start = clock_monotonic(),
		.start_cpu = clock_process_cpu(),
		.loop = vmm->loop,
		.isolation = vmm->cfg.isolation,
		.load = load,
	};
	int r;

	for (unsigned i = 0; i < vmm->config.ndrives; i++)
		drive_fd[i] = files_drive(&vmm->files, vmm->config.drives[i]->drive_id);
	for (unsigned i = 0; i < vmm->config.nnets; i++)
		net_fd[i] = files_net(&vmm->files, vmm->config.nets[i]->iface_id);
	r = machine_create(&cfg, &vmm->machine, e);
	if (r < 0)
		return r;
	r = watch_machine(vmm, e);
	if (r < 0) {
		machine_quit(vmm->machine);
		life_drop_machine(vmm);
		return r;
	}
	vmm->state = VMM_STARTING;
	return ACTION_PENDING;
}

int vmm_begin_start(struct vmm *vmm, struct err *e)
{
	int r = check_startable(vmm, e);

	return r < 0 ? r : build_machine(vmm, NULL, e);
}

static int check_loadable(const struct vmm *vmm, const struct conf_snapshot_load *conf,
			  struct err *e)
{
	if (vmm->boot_path)
		return err_set(e, ERR_STATE, -EBUSY,
			       "Loading a microVM snapshot not allowed after configuring "
			       "boot-specific resources.");
	if (conf->mem.backend_type == CONF_MEM_UFFD)
		return err_set(e, ERR_INVALID, -EOPNOTSUPP,
			       "backend_type `Uffd` is not part of this version of wisp; use "
			       "`File`");
	return 0;
}

static int load_machine(struct vmm *vmm, const struct conf_snapshot_load *conf, struct err *e)
{
	struct snapshot_load load;
	int r = snapshot_load_prepare(vmm, conf, &load, e);

	if (r == 0) {
		const struct machine_load from = {
			.in = &load.in,
			.memory_fd = load.memory_fd,
			.clock_realtime = conf->clock_realtime,
		};

		vmm->loaded = true;
		vmm->resume_loaded = conf->resume_vm;
		r = build_machine(vmm, &from, e);
	}
	snapshot_load_fini(&load);
	return r;
}

int vmm_begin_load(struct vmm *vmm, const struct conf_snapshot_load *conf, struct err *e)
{
	int r = check_loadable(vmm, conf, e);

	if (r < 0)
		return r;
	r = load_machine(vmm, conf, e);
	if (r < 0) {
		r = err_wrap(e, "Failed to restore from snapshot");
		end_after_failed_load(vmm);
	}
	return r;
}

int vmm_begin_snapshot(struct vmm *vmm, const struct conf_snapshot_create *conf, struct err *e)
{
	int r = snapshot_create_begin(vmm, conf, e);

	if (r == ACTION_PENDING)
		settle_again(vmm, 0);
	return r;
}

int vmm_begin_drive_patch(struct vmm *vmm, const struct action *a, struct err *e)
{
	int r = drive_patch_begin(vmm, a, e);

	if (r == ACTION_PENDING)
		settle_again(vmm, SETTLE_POLL_MS * USEC_PER_MSEC);
	return r;
}

int vmm_begin_pause(struct vmm *vmm)
{
	if (vmm->state == VMM_PAUSED)
		return ACTION_DONE;
	vmm->state = VMM_PAUSING;
	machine_park(vmm->machine);
	/* A vCPU that had not even left its last pause stays parked and says nothing. */
	fd_event_signal(vmm->vcpu_src.fd);
	vmm->settle_since = clock_monotonic();
	settle_again(vmm, PAUSE_LIMIT_S * USEC_PER_SEC);
	return ACTION_PENDING;
}

int vmm_resume(struct vmm *vmm)
{
	if (vmm->state == VMM_PAUSED)
		resume(vmm);
	return ACTION_DONE;
}

void life_init(struct vmm *vmm)
{
	vmm->settle.fn = on_settle;
}
