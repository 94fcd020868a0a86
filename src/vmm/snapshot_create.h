/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot of a paused machine: the state at once, the memory piece by piece, so
 * that the loop turns meanwhile, then both files into their places.
 *
 * Main thread. Whatever fails, the machine is as paused as before, what stood in the two
 * places still does, and nothing is left beside it.
 */
#pragma once

#include "vmm/state.h"

struct snapshot_job;

/* ACTION_PENDING with vmm->snapshot set, else -errno. */
must_check int snapshot_create_begin(struct vmm *vmm, const struct conf_snapshot_create *conf,
				     struct err *e);

/* The next piece: ACTION_PENDING, ACTION_DONE or -errno; the job is gone but for the first. */
must_check int snapshot_create_go_on(struct vmm *vmm, struct err *e);

/* Gives up. No-op without a job. */
void snapshot_create_drop(struct vmm *vmm);
