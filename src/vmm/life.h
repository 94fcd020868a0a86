/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's life: start, pause, resume, end, and the work on a running machine
 * that takes longer than one turn of the loop.
 *
 * Main thread. A beginning returns ACTION_PENDING when it has begun, ACTION_DONE when
 * there is nothing to do, or -errno with nothing changed.
 */
#pragma once

#include "vmm/state.h"

void life_init(struct vmm *vmm);

must_check int vmm_begin_start(struct vmm *vmm, struct err *e);
must_check int vmm_begin_drive_patch(struct vmm *vmm, const struct action *a, struct err *e);
must_check int vmm_begin_snapshot(struct vmm *vmm, const struct conf_snapshot_create *conf,
				  struct err *e);

/* A load that has begun and fails ends the process, after the answer. */
must_check int vmm_begin_load(struct vmm *vmm, const struct conf_snapshot_load *conf,
			      struct err *e);
must_check int vmm_begin_pause(struct vmm *vmm);
must_check int vmm_resume(struct vmm *vmm);

/* Ends its watches and destroys it; its vCPUs have stopped or never run. */
void life_drop_machine(struct vmm *vmm);
