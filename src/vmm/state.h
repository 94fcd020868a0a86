/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's own state, shared by vmm.c (actions in order), action.c (legality and
 * configuration), life.c and what they hand work to, and by nobody else. Main thread.
 */
#pragma once

#include "mmds/mmds.h"
#include "vmm/files.h"
#include "vmm/flush.h"
#include "vmm/latency.h"
#include "vmm/machine.h"
#include "vmm/vmm.h"
#include "vmm/x86/cmdline.h"

enum vmm_state {
	VMM_NOT_STARTED,
	VMM_STARTING, /* built; vCPUs isolate themselves */
	VMM_RUNNING,
	VMM_PAUSING,
	VMM_PAUSED,
	VMM_ENDING,
};

/* A drive whose file is replaced as soon as its requests have ended. */
struct drive_patch {
	struct vdev *dev; /* the machine's; NULL: there is none */
	int fd;		  /* owned: the new file */
	usec_t since;
};

struct snapshot_job;

struct vmm {
	struct vmm_cfg cfg;
	struct loop *loop;

	struct mbox inbox;
	struct loop_src inbox_src;
	struct mbox_msg *first, **last; /* actions that wait for `current' */
	struct action *current;		/* begun and not answered */
	usec_t current_since;

	enum vmm_state state;
	struct conf_config config;
	struct conf_serial serial;
	struct console *console; /* owned; NULL: the console goes to descriptors */
	struct files files;
	struct mmds *mmds; /* owned */
	struct view_board views;
	struct flush flush;
	struct vmm_latencies latencies;
	struct metrics_group latencies_group;

	struct machine *machine;       /* owned */
	struct drive_patch patch;      /* of `current' */
	struct snapshot_job *snapshot; /* likewise, owned */
	bool boot_path;		       /* something was configured that a snapshot brings along */
	bool loaded, resume_loaded;    /* the machine is from a snapshot; it is to run at once */
	bool confined;		       /* main's filter is on */
	struct loop_src vcpu_src, end_src, boot_timer_src; /* the machine's descriptors */
	struct loop_timer settle;			   /* looks again at what has no event */
	usec_t settle_since;
	enum end_reason end;
	bool stuck; /* something would not end: a vCPU, or work on a drive's file */
};

enum { ACTION_DONE = 0, ACTION_PENDING = 1 };

/* Does the action if it is legal: ACTION_DONE, ACTION_PENDING, or a->err's code. */
must_check int action_run(struct vmm *vmm, struct action *a);

/* Puts the action's name before its error; for one that failed while pending. */
int action_fail(struct action *a);

/* Answers the action that is pending, which has failed (its error is set) or is done. */
void vmm_fail_current(struct vmm *vmm);
void vmm_succeed(struct vmm *vmm); /* and goes on with the next; no-op without one */

/* Goes on with the actions that wait. */
void vmm_take_next(struct vmm *vmm);

/*
 * Takes over what a snapshot has: as vmm_configure(), but for the kernel, of which nobody
 * needs the file any more.
 */
must_check int vmm_configure_loaded(struct vmm *vmm, const struct conf_config *config,
				    struct err *e);

/* Watches one of the machine's descriptors for input. */
must_check int vmm_watch(struct vmm *vmm, struct loop_src *src, int fd, loop_fn fn, struct err *e);
