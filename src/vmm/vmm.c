/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions are taken one at a time and in order; what they do to the machine's life is
 * in life.c. Configuration that comes without HTTP, and what GETs see.
 */
#include "vmm/vmm.h"

#include <string.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/term.h"
#include "devices/console.h"
#include "vmm/life.h"
#include "vmm/mmds_actions.h"
#include "vmm/snapshot_create.h"

enum { FLUSH_LIMIT_MS = 1000 };

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
	return view_publish(&vmm->views, &(struct view_texts){ .instance = i.buf,
							       .machine_config = m.buf,
							       .vm_config = v.buf,
							       .mmds = mmds_shown(vmm) });
}

/* --- actions --------------------------------------------------------------- */

static counter_t *latency_of(struct vmm *vmm, const struct action *a)
{
	switch (a->type) {
	case ACTION_PAUSE:
		return &vmm->latencies.vmm_pause_vm;
	case ACTION_RESUME:
		return &vmm->latencies.vmm_resume_vm;
	case ACTION_SNAPSHOT_CREATE:
		return a->snapshot_create.snapshot_type == CONF_SNAPSHOT_DIFF
			       ? &vmm->latencies.vmm_diff_create_snapshot
			       : &vmm->latencies.vmm_full_create_snapshot;
	case ACTION_SNAPSHOT_LOAD:
		return &vmm->latencies.vmm_load_snapshot;
	default: /* nobody wants to know of the others */
		return NULL;
	}
}

static void answer(struct vmm *vmm)
{
	struct action *a = vmm->current;
	counter_t *took = latency_of(vmm, a);

	if (took && a->err.code == 0)
		counter_set(took, clock_monotonic() - vmm->current_since);
	if (publish(vmm) < 0)
		log_err("out of memory: GET requests show the state before this action");
	vmm->current = NULL;
	a->done(a);
}

void vmm_fail_current(struct vmm *vmm)
{
	action_fail(vmm->current);
	answer(vmm);
}

void vmm_succeed(struct vmm *vmm)
{
	if (!vmm->current)
		return;
	answer(vmm);
	vmm_take_next(vmm);
}

void vmm_take_next(struct vmm *vmm)
{
	while (!vmm->current && vmm->first) {
		struct action *a = container_of(vmm->first, struct action, msg);

		vmm->first = a->msg.next;
		if (!vmm->first)
			vmm->last = &vmm->first;
		vmm->current = a;
		vmm->current_since = clock_monotonic();
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
	vmm_take_next(vmm);
}

int vmm_watch(struct vmm *vmm, struct loop_src *src, int fd, loop_fn fn, struct err *e)
{
	int r;

	*src = (struct loop_src){ .fd = fd, .events = EPOLLIN, .fn = fn };
	r = loop_add(vmm->loop, src);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "epoll: %s", strerror(-r)) : 0;
}

void vmm_submit(struct vmm *vmm, struct action *action)
{
	mbox_post(&vmm->inbox, &action->msg);
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
	if (logger->module[0])
		log_set_module(logger->module);
	return 0;
}

static int configure_devices(struct vmm *vmm, const struct conf_config *config, struct action *a)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < config->ndrives; i++) {
		a->type = ACTION_PUT_DRIVE;
		a->drive = *config->drives[i];
		r = action_run(vmm, a);
	}
	for (unsigned i = 0; r == 0 && i < config->nnets; i++) {
		a->type = ACTION_PUT_NET;
		a->net = *config->nets[i];
		r = action_run(vmm, a);
	}
	if (r == 0 && config->has_mmds) {
		a->type = ACTION_PUT_MMDS_CONFIG;
		a->mmds_config = config->mmds;
		r = action_run(vmm, a);
	}
	if (r == 0 && config->has_vsock) {
		a->type = ACTION_PUT_VSOCK;
		a->vsock = config->vsock;
		r = action_run(vmm, a);
	}
	if (r == 0 && config->has_entropy) {
		a->type = ACTION_PUT_ENTROPY;
		a->entropy = config->entropy;
		r = action_run(vmm, a);
	}
	return r;
}

/* All but the kernel, one by one; the actions' errors are in a->err. */
static int configure(struct vmm *vmm, const struct conf_config *config, struct action *a)
{
	int r;

	a->type = ACTION_PUT_MACHINE_CONFIG;
	a->machine = config->machine;
	r = action_run(vmm, a);
	if (r == 0 && config->has_cpu) {
		a->type = ACTION_PUT_CPU_CONFIG;
		a->cpu = config->cpu;
		r = action_run(vmm, a);
	}
	return r < 0 ? r : configure_devices(vmm, config, a);
}

int vmm_configure_loaded(struct vmm *vmm, const struct conf_config *config, struct err *e)
{
	autofree struct action *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	vmm->config.has_cpu = false; /* one that was put before is not the snapshot's */
	r = configure(vmm, config, a);
	*e = a->err;
	vmm->config.boot_source = config->boot_source;
	vmm->config.has_boot_source = config->has_boot_source;
	return r;
}

int vmm_configure_metrics(struct vmm *vmm, const struct conf_metrics *metrics, struct err *e)
{
	int r = metrics_open(metrics->metrics_path, metrics->emit_id ? vmm->cfg.id : NULL,
			     metrics->properties[0] ? metrics->properties : NULL, e);

	return r < 0 ? err_wrap(e, "Cannot initialize the metrics system due to bad user input")
		     : 0;
}

int vmm_configure(struct vmm *vmm, const struct conf_config *config, struct err *e)
{
	autofree struct action *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	a->type = ACTION_PUT_BOOT_SOURCE;
	a->boot_source = config->boot_source;
	r = action_run(vmm, a);
	if (r == 0)
		r = configure(vmm, config, a);
	*e = a->err;
	if (r == 0 && publish(vmm) < 0)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	return r;
}

int vmm_populate_mmds(struct vmm *vmm, const char *text, size_t len, struct err *e)
{
	struct mmds_doc *doc = NULL;
	int r = mmds_doc_parse(text, len, &doc, e);

	if (r == 0)
		r = mmds_put(vmm->mmds, doc, e);
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
	life_init(vmm);
	flush_init(&vmm->flush, loop);
	vmm->inbox.fd = -1;
	conf_config_init(&vmm->config);
	files_init(&vmm->files);
	view_board_init(&vmm->views);
	r = mmds_create(cfg->id, cfg->mmds_limit, &vmm->mmds, e);
	if (r < 0) {
		vmm_destroy(vmm);
		return r;
	}
	vmm->latencies_group = (struct metrics_group){ .shape = &vmm_latencies_shape,
						       .counters = &vmm->latencies };
	r = metrics_add(&vmm->latencies_group);
	if (r == 0)
		r = mbox_init(&vmm->inbox);
	if (r < 0)
		r = err_set(e, ERR_INTERNAL, r, "vmm: %s", strerror(-r));
	else
		r = vmm_watch(vmm, &vmm->inbox_src, vmm->inbox.fd, on_inbox, e);
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
	snapshot_create_drop(vmm);
	if (vmm->machine)
		machine_flush_console(vmm->machine, FLUSH_LIMIT_MS);
	term_restore();
	/* What did not stop still uses the machine: then the process ends with it. */
	if (vmm_stuck(vmm))
		return;
	if (vmm->machine)
		life_drop_machine(vmm);
	flush_fini(&vmm->flush);
	metrics_remove(&vmm->latencies_group);
	loop_remove(vmm->loop, &vmm->inbox_src);
	mbox_fini(&vmm->inbox);
	mmds_destroy(vmm->mmds);
	view_board_fini(&vmm->views);
	console_destroy(vmm->console);
	files_fini(&vmm->files);
	conf_config_fini(&vmm->config);
	free(vmm);
}

struct vmm_latencies *vmm_latencies(struct vmm *vmm)
{
	return &vmm->latencies;
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
