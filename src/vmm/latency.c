/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/latency.h"

#define BOTH(name) #name, "vmm_" #name,

static const char *const names[] = { VMM_LATENCIES(BOTH) };

const struct metrics_shape vmm_latencies_shape =
	METRICS_SHAPE("latencies_us", names, struct vmm_latencies, .values = true);
