/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask for, counted: the groups get_, put_ and patch_api_requests of the
 * contract (4.3), and deprecated_api.
 *
 * Each request that has a name there is counted when it comes, and again as a failure
 * when its answer is an error, whatever the reason.
 */
#pragma once

#include "api/route.h"
#include "base/metrics.h"

/* Names and order of the contract's groups; X(member, first part of the path). */
#define API_GET_METRICS(X)                     \
	X(instance_info_count, "")             \
	X(machine_cfg_count, "machine-config") \
	X(mmds_count, "mmds")                  \
	X(vmm_version_count, "version")        \
	X(hotplug_memory_count, "hotplug")

#define API_PUT_METRICS(X)               \
	X(actions, "actions")            \
	X(boot_source, "boot-source")    \
	X(drive, "drives")               \
	X(logger, "logger")              \
	X(machine_cfg, "machine-config") \
	X(cpu_cfg, "cpu-config")         \
	X(metrics, "metrics")            \
	X(network, "network-interfaces") \
	X(mmds, "mmds")                  \
	X(vsock, "vsock")                \
	X(pmem, "pmem")                  \
	X(serial, "serial")              \
	X(hotplug_memory, "hotplug")

#define API_PATCH_METRICS(X)             \
	X(drive, "drives")               \
	X(network, "network-interfaces") \
	X(machine_cfg, "machine-config") \
	X(mmds, "mmds")                  \
	X(hotplug_memory, "hotplug")     \
	X(pmem, "pmem")

struct api_metrics {
	struct api_get_metrics {
#define X(name, path) counter_t name;
		API_GET_METRICS(X)
#undef X
	} get;
#define X(name, path) counter_t name##_count, name##_fails;
	struct api_put_metrics {
		API_PUT_METRICS(X)
	} put;
	struct api_patch_metrics {
		API_PATCH_METRICS(X)
	} patch;
#undef X
	struct api_deprecated_metrics {
		counter_t deprecated_http_api_calls;
	} deprecated;
	struct metrics_group group[4];
};

extern const struct metrics_shape api_get_shape, api_put_shape, api_patch_shape,
	api_deprecated_shape;

/* Registers zeroed counters; -ENOMEM with nothing registered. Main thread. */
must_check int api_metrics_init(struct api_metrics *m, struct err *e);
void api_metrics_fini(struct api_metrics *m); /* no-op for zeroed ones */

/* Counts a request. What is to be added to if it fails, or NULL. Any thread. */
must_check counter_t *api_metrics_count(struct api_metrics *m, enum route_method method,
					const char *target);
