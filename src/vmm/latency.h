/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the newest of each of these took, in µs: the whole request as the API saw
 * it, and the action itself. Set by the thread that ends it, read by any.
 */
#pragma once

#include "base/metrics.h"

/* Names and order of the contract's group `latencies_us'. */
#define VMM_LATENCIES(X)        \
	X(full_create_snapshot) \
	X(diff_create_snapshot) \
	X(load_snapshot)        \
	X(pause_vm)             \
	X(resume_vm)

struct vmm_latencies {
#define X(name) counter_t name, vmm_##name;
	VMM_LATENCIES(X)
#undef X
};
extern const struct metrics_shape vmm_latencies_shape;
