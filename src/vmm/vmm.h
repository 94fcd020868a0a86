/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: configuration, life cycle and the one machine of this process.
 *
 * Made and run by the main thread; vmm_submit() and vmm_view() are for any thread.
 */
#pragma once

#include "base/loop.h"
#include "base/thread.h"
#include "conf/config.h"
#include "devices/end.h"
#include "vmm/action.h"
#include "vmm/handed.h"
#include "vmm/latency.h"
#include "vmm/view.h"

#define VMM_FIRECRACKER_VERSION "1.17.0" /* the API that is spoken */

struct vmm;

struct vmm_cfg {
	const char *id;			   /* the instance's name; kept by reference */
	bool boot_timer;		   /* --boot-timer */
	size_t mmds_limit;		   /* bytes of metadata */
	const struct isolation *isolation; /* hooks into the jail; kept by reference */
	int stdin_fd, stdout_fd;	   /* the guest's console; -1: none */
	struct handed *handed; /* closed at the start; kept by reference. NULL: nothing was */
};

must_check int vmm_create(const struct vmm_cfg *cfg, struct loop *loop, struct vmm **ret_vmm,
			  struct err *e);
/*
 * After the loop ended. The API thread, which may still hold a view or an action, has
 * been stopped. Leaves the terminal as it was.
 */
void vmm_destroy(struct vmm *vmm);

/* Hands the action over; `done' is called once, later, on the main thread. */
void vmm_submit(struct vmm *vmm, struct action *action);

/* After the loop ended: answers what still waits, so that nobody waits for ever. */
void vmm_refuse_actions(struct vmm *vmm);

/* What GETs answer from. */
struct view_board *vmm_views(struct vmm *vmm);

/* The halves without `vmm_' are set by whoever served the request. Any thread. */
struct vmm_latencies *vmm_latencies(struct vmm *vmm);

/* Takes a configuration file's objects over, as if put one by one. Main, before the start. */
must_check int vmm_configure(struct vmm *vmm, const struct conf_config *config, struct err *e);

/*
 * Metadata as put over the API, from JSON text (--metadata). Main, before the start.
 */
must_check int vmm_populate_mmds(struct vmm *vmm, const char *text, size_t len, struct err *e);

/* The logger as /logger, the configuration file and the command line set it. Main thread. */
must_check int vmm_configure_logger(const struct conf_logger *logger, struct err *e);

/* The file of metrics as /metrics, the configuration file and the command line set it. Main. */
must_check int vmm_configure_metrics(struct vmm *vmm, const struct conf_metrics *metrics,
				     struct err *e);

/*
 * A vCPU thread or work on a host file would not end in time. vmm_destroy() leaves the
 * machine alone then, and the process must end by _exit().
 */
must_check bool vmm_stuck(const struct vmm *vmm);

/* Why the process is to end: END_NONE while it is not. */
enum end_reason vmm_end_reason(const struct vmm *vmm);
