/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: a second opinion about files, in case the first (root, owner, mode) is wrong.
 *
 * Below the jail's root files may be read, written, made and removed; sockets and FIFOs
 * too. Nothing can be executed, no device node made, no file linked or moved between
 * folders, nothing mounted, and outside the root nothing is reached by any path. Where the
 * kernel knows these: no TCP, no signal to a process outside, no abstract socket outside.
 */
#pragma once

#include "base/err.h"

/*
 * Confines the calling thread, for ever; no_new_privs is set. `may_execute': a program in
 * the root is still to be executed. 0, or 1 when this kernel has no Landlock.
 */
must_check int landlock_enter(bool may_execute, struct err *e);

/* What a ruleset handles on a kernel of that ABI, without side effects. */
struct landlock_rules {
	uint64_t fs, net, scoped; /* denied unless a rule allows it */
	uint64_t below_root;	  /* allowed there */
	size_t size;		  /* of the structure that the kernel of that ABI takes */
};
struct landlock_rules landlock_rules_of(int abi, bool may_execute);
