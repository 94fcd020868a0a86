/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of metrics of this program, in the contract's order (4.3), and the counters
 * that belong to the process and to no module of a lower layer.
 *
 * Groups of devices that wisp does not have are in the schema too: readers check the
 * whole line, and find zeros there.
 */
#pragma once

#include "base/err.h"

/* Registers what is the process's. Once, on the main thread, first of all. */
must_check int schema_init(struct err *e);

/* What whoever started us says about the time until now; of the group `api_server'. */
void schema_set_startup(uint64_t us, uint64_t cpu_us);

/* For the handler of SIGABRT. */
void schema_count_panic(void);
