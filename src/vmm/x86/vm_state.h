/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What KVM knows of the machine as a whole: interrupt controllers and timer, to records of
 * a snapshot and back. Its clock: time_state.h. Main thread, while no vCPU runs.
 *
 * Loading comes after the vCPUs: an I/O APIC with a request that waits hands it to a
 * local APIC at once, and that must be the loaded one.
 */
#pragma once

#include "base/err.h"
#include "vmm/snapshot_records.h"

#define VM_STATE_RECORDS "irqchip", "pit"

must_check int vm_state_save(int vm_fd, struct snap_out *out, struct err *e);
must_check int vm_state_load(int vm_fd, struct snap_in *in, struct err *e);
