/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life cycle. Actions are taken one at a time and in order; those that need
 * vCPUs to obey are states that the loop steps through on events, while everything
 * else goes on.
 *
 *   NOT_STARTED -> STARTING -> RUNNING <-> PAUSING -> PAUSED -> RUNNING
 *        ^------------' failed     `-----------'---------'--> ENDING
 */
#include "vmm/vmm.h"

#include <string.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/term.h"
#include "vmm/drive_patch.h"
#include "vmm/state.h"

enum { SETTLE_POLL_MS = 1, PAUSE_LIMIT_S = 10, END_LIMIT_S = 5, FLUSH_LIMIT_MS = 1000 };

static void take_next(struct vmm *vmm);

/* --- what GETs see --------------------------------------------------------- */

static const char *state_name(enum vmm_state state)
{
	switch (state) {
	case VMM_NOT_STARTED:
	case VMM_STARTING:
		return "Not started";
	case VMM_PAUSED:
		return "Paused";
	case VMM_RUNNING:
	case VMM_PAUSING:
	case VMM_ENDING:
		break;
	}
	return "Running";
}

static int publish(struct vmm *vmm)
{
	autofree char *buf = FAULT(-ENOMEM) < 0 ? NULL : malloc(CONF_CONFIG_TEXT_MAX);
	char instance[256], machine[512];
	struct text i = TEXT_ON(instance), m = TEXT_ON(machine), v;

	if (!buf)
		return -ENOMEM;
	text_init(&v, buf, CONF_CONFIG_TEXT_MAX);
	text_fmt(&i, "{\"id\":\"%s\",\"state\":\"%s\",\"vmm_version\":\"%s\",", vmm->cfg.id,
		 state_name(vmm->state), VMM_FIRECRACKER_VERSION);
	text_str(&i, "\"app_name\":\"Firecracker\"}");
	conf_machine_print(&m, &vmm->config.machine);
	conf_config_print(&v, &vmm->config);
	return view_publish(&vmm->views, i.buf, m.buf, v.buf);
}

/* --- actions --------------------------------------------------------------- */

static void answer(struct vmm *vmm)
{
	struct action *a = vmm->current;

	if (publish(vmm) < 0)
		log_err("out of memory: GET requests show the state before this action");
	vmm->current = NULL;
	a->done(a);
}

/* For the pending action when its error is set. */
static void fail_current(struct vmm *vmm)
{
	action_fail(vmm->current);
	answer(vmm);
}

static void succeed(struct vmm *vmm)
{
	if (!vmm->current)
		return;
	answer(vmm);
	take_next(vmm);
}

static void take_next(struct vmm *vmm)
{
	while (!vmm->current && vmm->first) {
		struct action *a = container_of(vmm->first, struct action, msg);

		vmm->first = a->msg.next;
		if (!vmm->first)
			vmm->last = &vmm->first;
		vmm->current = a;
		if (action_run(vmm, a) != ACTION_PENDING)
			answer(vmm);
	}
}

static void on_inbox(struct loop_src *src, uint32_t events)
{
	struct vmm *vmm = container_of(src, struct vmm, inbox_src);
	struct mbox_msg *msg = mbox_take(&vmm->inbox);

	(void)events;
	if (!msg)
		return;
	*vmm->last = msg;
	while (*vmm->last)
		vmm->last = &(*vmm->last)->next;
	take_next(vmm);
}

void vmm_submit(struct vmm *vmm, struct action *action)
{
	mbox_post(&vmm->inbox, &action->msg);
}

/* --- the machine's events --------------------------------------------------- */

static void drop_machine(struct vmm *vmm)
{
	loop_timer_cancel(vmm->loop, &vmm->settle);
	loop_remove(vmm->loop, &vmm->vcpu_src);
	loop_remove(vmm->loop, &vmm->end_src);
	loop_remove(vmm->loop, &vmm->boot_timer_src);
	machine_destroy(vmm->machine);
	vmm->machine = NULL;
}

static void fail_start(struct vmm *vmm)
{
	/* No vCPU has run the guest: parked, they obey at once. */
	machine_quit(vmm->machine);
	drop_machine(vmm);
	vmm->state = VMM_NOT_STARTED;
	fail_current(vmm);
	take_next(vmm);
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
	if (term_make_raw(vmm->cfg.stdin_fd) < 0)
		log_warn("the terminal on standard input cannot be made raw");
	machine_run(vmm->machine);
	vmm->state = VMM_RUNNING;
	succeed(vmm);
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
		fail_current(vmm);
	take_next(vmm);
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
		succeed(vmm);
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

/* The drive that the pending action is about may have become idle. */
static void finish_drive_patch(struct vmm *vmm)
{
	int r = drive_patch_go_on(vmm, vmm->current, &vmm->current->err);

	if (r == ACTION_PENDING) {
		settle_again(vmm, SETTLE_POLL_MS * USEC_PER_MSEC);
	} else if (r < 0) {
		fail_current(vmm);
		take_next(vmm);
	} else {
		succeed(vmm);
	}
}

/* Time has passed in a state that waits for vCPUs or devices. */
static void on_settle(struct loop_timer *timer)
{
	struct vmm *vmm = container_of(timer, struct vmm, settle);

	if (vmm->patch.dev)
		finish_drive_patch(vmm);
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
	vmm->state = VMM_ENDING;
	drive_patch_drop(vmm);
	machine_quit(vmm->machine);
	vmm->settle_since = clock_monotonic();
	settle_again(vmm, END_LIMIT_S * USEC_PER_SEC);
	if (vmm->current) {
		struct err *e = &vmm->current->err;

		if (err_set(e, ERR_STATE, -ESHUTDOWN, "the microVM ended: %s",
			    end_reason_name(vmm->end)) < 0)
			fail_current(vmm);
	}
	take_next(vmm); /* those that waited behind it are refused while there is time */
}

static void on_boot_timer(struct loop_src *src, uint32_t events)
{
	struct vmm *vmm = container_of(src, struct vmm, boot_timer_src);
	char text[BOOT_TIMER_TEXT_MAX];

	(void)events;
	(void)fd_event_take(src->fd);
	if (boot_timer_text(machine_boot_timer(vmm->machine), text))
		log_info("%s", text);
}

static int watch(struct vmm *vmm, struct loop_src *src, int fd, loop_fn fn, struct err *e)
{
	int r;

	*src = (struct loop_src){ .fd = fd, .events = EPOLLIN, .fn = fn };
	r = loop_add(vmm->loop, src);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "epoll: %s", strerror(-r)) : 0;
}

static int watch_machine(struct vmm *vmm, struct err *e)
{
	struct boot_timer *timer = machine_boot_timer(vmm->machine);
	int r = watch(vmm, &vmm->vcpu_src, machine_vcpu_event(vmm->machine), on_vcpus, e);

	if (r < 0)
		return r;
	r = watch(vmm, &vmm->end_src, machine_end_event(vmm->machine), on_end, e);
	if (r < 0 || !timer)
		return r;
	return watch(vmm, &vmm->boot_timer_src, timer->fd, on_boot_timer, e);
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

int vmm_begin_start(struct vmm *vmm, struct err *e)
{
	int drive_fd[CONF_DRIVES_MAX];
	const struct machine_cfg cfg = {
		.config = &vmm->config,
		.kernel_fd = vmm->files.kernel,
		.initrd_fd = vmm->files.initrd,
		.drive_fd = drive_fd,
		.console_out = vmm->files.console >= 0 ? vmm->files.console : vmm->cfg.stdout_fd,
		.console_in = vmm->cfg.stdin_fd,
		.serial = &vmm->serial,
		.boot_timer = vmm->cfg.boot_timer,
		.start = clock_monotonic(),
		.start_cpu = clock_process_cpu(),
		.loop = vmm->loop,
		.isolation = vmm->cfg.isolation,
	};
	int r = check_startable(vmm, e);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < vmm->config.ndrives; i++)
		drive_fd[i] = files_drive(&vmm->files, vmm->config.drives[i]->drive_id);
	r = machine_create(&cfg, &vmm->machine, e);
	if (r < 0)
		return r;
	r = watch_machine(vmm, e);
	if (r < 0) {
		machine_quit(vmm->machine);
		drop_machine(vmm);
		return r;
	}
	vmm->state = VMM_STARTING;
	return ACTION_PENDING;
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
	if (vmm->state == VMM_PAUSED) {
		machine_resume_devices(vmm->machine);
		machine_tell_paused(vmm->machine);
		machine_run(vmm->machine);
		vmm->state = VMM_RUNNING;
	}
	return ACTION_DONE;
}

/* --- configuration without HTTP ---------------------------------------------- */

int vmm_configure_logger(const struct conf_logger *logger, struct err *e)
{
	struct log_cfg cfg = log_configured();

	cfg.level = logger->level;
	if (logger->has_show_level)
		cfg.show_level = logger->show_level;
	if (logger->has_show_log_origin)
		cfg.show_origin = logger->show_log_origin;
	if (logger->log_path[0]) {
		int r = log_open(logger->log_path, e);

		if (r < 0)
			return err_wrap(e, "%s", logger->log_path);
	}
	log_configure(&cfg);
	return 0;
}

int vmm_configure(struct vmm *vmm, const struct conf_config *config, struct err *e)
{
	autofree struct action *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	a->type = ACTION_PUT_MACHINE_CONFIG;
	a->machine = config->machine;
	r = action_run(vmm, a);
	if (r == 0) {
		a->type = ACTION_PUT_BOOT_SOURCE;
		a->boot_source = config->boot_source;
		r = action_run(vmm, a);
	}
	if (r == 0 && config->has_cpu) {
		a->type = ACTION_PUT_CPU_CONFIG;
		a->cpu = config->cpu;
		r = action_run(vmm, a);
	}
	for (unsigned i = 0; r == 0 && i < config->ndrives; i++) {
		a->type = ACTION_PUT_DRIVE;
		a->drive = *config->drives[i];
		r = action_run(vmm, a);
	}
	if (r == 0 && config->has_entropy) {
		a->type = ACTION_PUT_ENTROPY;
		a->entropy = config->entropy;
		r = action_run(vmm, a);
	}
	*e = a->err;
	if (r == 0 && publish(vmm) < 0)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	return r;
}

/* --- create and destroy ------------------------------------------------------ */

int vmm_create(const struct vmm_cfg *cfg, struct loop *loop, struct vmm **ret_vmm, struct err *e)
{
	struct vmm *vmm = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*vmm));
	int r;

	if (!vmm)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "vmm: out of memory");
	vmm->cfg = *cfg;
	vmm->loop = loop;
	vmm->last = &vmm->first;
	vmm->settle.fn = on_settle;
	vmm->inbox.fd = -1;
	conf_config_init(&vmm->config);
	files_init(&vmm->files);
	view_board_init(&vmm->views);
	r = mbox_init(&vmm->inbox);
	if (r < 0)
		r = err_set(e, ERR_INTERNAL, r, "eventfd: %s", strerror(-r));
	else
		r = watch(vmm, &vmm->inbox_src, vmm->inbox.fd, on_inbox, e);
	if (r == 0) {
		r = publish(vmm);
		if (r < 0)
			r = err_set(e, ERR_INTERNAL, r, "vmm: out of memory");
	}
	if (r < 0) {
		vmm_destroy(vmm);
		return r;
	}
	*ret_vmm = vmm;
	return 0;
}

void vmm_destroy(struct vmm *vmm)
{
	if (!vmm)
		return;
	if (vmm->machine)
		machine_flush_console(vmm->machine, FLUSH_LIMIT_MS);
	term_restore();
	/* What did not stop still uses the machine: then the process ends with it. */
	if (vmm_stuck(vmm))
		return;
	if (vmm->machine)
		drop_machine(vmm);
	loop_remove(vmm->loop, &vmm->inbox_src);
	mbox_fini(&vmm->inbox);
	view_board_fini(&vmm->views);
	files_fini(&vmm->files);
	conf_config_fini(&vmm->config);
	free(vmm);
}

struct view_board *vmm_views(struct vmm *vmm)
{
	return &vmm->views;
}

bool vmm_stuck(const struct vmm *vmm)
{
	struct err e = { 0 };

	return vmm->stuck ||
	       (vmm->machine && machine_vcpus(vmm->machine, &e) != MACHINE_VCPUS_STOPPED);
}

void vmm_refuse_actions(struct vmm *vmm)
{
	vmm->state = VMM_ENDING;
	on_inbox(&vmm->inbox_src, 0);
}

enum end_reason vmm_end_reason(const struct vmm *vmm)
{
	return vmm->end;
}
