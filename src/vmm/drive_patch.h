/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH /drives/{id}: another file, or the same one at its new size, and other limits
 * for a drive that the guest may be using.
 *
 * The new file is opened first: what is wrong with it changes nothing. Then the device
 * stops taking requests, and the file is exchanged when those in flight have ended; the
 * guest sees a configuration interrupt and no error. In a paused machine all of that is
 * the case already, and the device stays stopped.
 *
 * Main thread.
 */
#pragma once

#include "vmm/action.h"
#include "vmm/vmm.h"

/* ACTION_DONE, ACTION_PENDING (then drive_patch_go_on() until it is not), or -errno. */
must_check int drive_patch_begin(struct vmm *vmm, const struct action *a, struct err *e);

/* Looks whether the requests have ended: the same results, -ETIMEDOUT among them. */
must_check int drive_patch_go_on(struct vmm *vmm, const struct action *a, struct err *e);

/* The machine ends: there is nothing to wait for. Without a patch it does nothing. */
void drive_patch_drop(struct vmm *vmm);
