/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the contract has and this version does not: such a request is checked as if it
 * were served, beside what is configured too, and then refused with one clear message.
 * Action functions of the table in action.c. Main thread.
 */
#pragma once

#include "vmm/action.h"

struct vmm;

must_check int absent_balloon(struct vmm *vmm, const struct action *a, struct err *e);
must_check int absent_pmem(struct vmm *vmm, const struct action *a, struct err *e);
must_check int absent_memory_hotplug(struct vmm *vmm, const struct action *a, struct err *e);

/* What is asked of such a device finds none. */
must_check int absent_balloon_request(struct vmm *vmm, const struct action *a, struct err *e);
must_check int absent_pmem_request(struct vmm *vmm, const struct action *a, struct err *e);
must_check int absent_memory_hotplug_request(struct vmm *vmm, const struct action *a,
					     struct err *e);
must_check int absent_unplug(struct vmm *vmm, const struct action *a, struct err *e);
