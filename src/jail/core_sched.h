/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core scheduling (--core-sched): the kernel never runs a thread of another process
 * on the hyperthread beside one of ours, so that a neighbour cannot watch the guest
 * through the core they share.
 */
#pragma once

#include "base/err.h"

/*
 * For the whole process and what it starts later; main thread, before the filter.
 * 1 when it is in force, 0 when it is not needed because no core of this host runs
 * two threads.
 */
must_check int core_sched_enable(struct err *e);
