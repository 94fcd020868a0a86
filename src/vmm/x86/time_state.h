/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's clocks, kvmclock and the TSC of each vCPU, to records of a snapshot and back.
 *
 * The two are one: a guest compares them, and compares the TSCs of its processors. What is
 * saved is therefore kvmclock and the first vCPU's TSC at one moment, and how far the TSC of
 * each vCPU is from the host's. Loading sets kvmclock, puts the first TSC where kvmclock then
 * says it is, and the others at the same distance from it as before: to the cycle, on a host
 * whose own TSC is stable. A TSC is set by its offset: a written value is only a hint to KVM,
 * which until Linux 6.7 took the TSC of a guest that was younger than a second for one to be
 * kept in step with the new machine's, and put it back.
 *
 * Main thread, while no vCPU runs. Loading: before the rest of the vCPUs, because deadlines
 * count in the TSC.
 */
#pragma once

#include "base/err.h"
#include "vmm/snapshot_records.h"

#define TIME_STATE_RECORDS "clock", "vcpu-tsc"

/* The descriptors of all vCPUs, in the order of their indices. */
struct time_vcpus {
	const int *fds;
	unsigned n; /* at least 1 */
};

must_check int time_state_save(int vm_fd, struct time_vcpus vcpus, struct snap_out *out,
			       struct err *e);

/*
 * The clocks go on from where they were; with `realtime' both are ahead by the time that has
 * passed since on the host's real-time clock. -ERANGE: no clock goes that far.
 */
must_check int time_state_load(int vm_fd, struct time_vcpus vcpus, bool realtime,
			       struct snap_in *in, struct err *e);
