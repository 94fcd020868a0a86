/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, ids and capabilities of the calling thread, which is the only one. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

/* Soft and hard limits; `fsize' UINT64_MAX: not changed. No core is ever written. */
must_check int privilege_limit(uint64_t nofile, uint64_t fsize, struct err *e);

/*
 * Ids and groups for ever; capabilities are kept for the steps to come when `keep'. In a
 * user namespace of one's own there is nothing to change, and supplementary groups stay.
 */
must_check int privilege_set_ids(uid_t uid, gid_t gid, bool keep, struct err *e);

/*
 * No capability, now or by executing anything, whatever the user id is; no_new_privs; and
 * not to be traced by the same user's other processes.
 */
must_check int privilege_drop(struct err *e);
