/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a snapshot into a process that has configured nothing yet: configuration and
 * files here, the machine by machine_create().
 *
 * Main thread, before its filter.
 */
#pragma once

#include "vmm/snapshot_records.h"
#include "vmm/state.h"

struct snapshot_load {
	uint8_t *data; /* owned: the state file */
	struct snap_in in;
	int memory_fd; /* owned */
};

/*
 * Reads the state file and takes over its configuration, with what the request says
 * otherwise; opens the files that it names. Then snapshot_load_fini(), whatever comes.
 */
must_check int snapshot_load_prepare(struct vmm *vmm, const struct conf_snapshot_load *conf,
				     struct snapshot_load *load, struct err *e);
void snapshot_load_fini(struct snapshot_load *load);
