/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firecracker's filters (its docs/seccompiler.md): one JSON object with a member for each
 * kind of thread.
 *
 *   {"vmm": {"default_action": A, "filter_action": A, "filter": [
 *       {"syscall": "ioctl", "args": [
 *           {"index": 1, "type": "dword", "op": "eq", "val": 44672, "comment": "..."}]}]},
 *    "api": ..., "vcpu": ...}
 *
 * A is "allow", "log", "trap", "kill_thread", "kill_process", {"errno": N} or {"trace": N};
 * op is eq, ne, lt, le, gt, ge or {"masked_eq": MASK}. A dword compares the lower half of the
 * register when op is eq or masked_eq; orders are of all 64 bits, as libseccomp has them.
 */
#pragma once

#include "policy.h"
#include "json/json.h"

/* The member `kind' of the file; the error names it and the call. */
must_check int policy_read_json(struct policy *p, struct json_value file, const char *kind,
				struct err *e);

/* Every member is one of the kinds. */
must_check int policy_check_kinds(struct json_value file, const char *const *kinds, unsigned n,
				  struct err *e);
