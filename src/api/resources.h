/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers that the router's table names, one r_<resource>.c for each resource.
 * All are of type route_fn: see route.h.
 */
#pragma once

#include "api/route.h"

must_check int r_actions_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_balloon_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_balloon_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_balloon_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_balloon_statistics_get(const struct route_call *call, struct route_out *out,
					struct err *e);
must_check int r_balloon_statistics_patch(const struct route_call *call, struct route_out *out,
					  struct err *e);
must_check int r_balloon_hinting(const struct route_call *call, struct route_out *out,
				 struct err *e);
must_check int r_balloon_hinting_start(const struct route_call *call, struct route_out *out,
				       struct err *e);
must_check int r_balloon_hinting_unknown(const struct route_call *call, struct route_out *out,
					 struct err *e);
must_check int r_hotplug_memory_get(const struct route_call *call, struct route_out *out,
				    struct err *e);
must_check int r_hotplug_memory_put(const struct route_call *call, struct route_out *out,
				    struct err *e);
must_check int r_hotplug_memory_patch(const struct route_call *call, struct route_out *out,
				      struct err *e);
must_check int r_mmds_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_mmds_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_mmds_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_mmds_config_put(const struct route_call *call, struct route_out *out,
				 struct err *e);
must_check int r_pmem_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_pmem_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_unplug(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_boot_source_put(const struct route_call *call, struct route_out *out,
				 struct err *e);
must_check int r_cpu_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_drive_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_drive_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_entropy_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_instance_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_logger_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_machine_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_machine_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_machine_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_net_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_net_patch(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_events_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_metrics_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_metrics_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_serial_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_snapshot_create_put(const struct route_call *call, struct route_out *out,
				     struct err *e);
must_check int r_snapshot_load_put(const struct route_call *call, struct route_out *out,
				   struct err *e);
must_check int r_vsock_put(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_version_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_vm_config_get(const struct route_call *call, struct route_out *out, struct err *e);
must_check int r_vm_patch(const struct route_call *call, struct route_out *out, struct err *e);

/* Hands the action that the handler has filled over to the vmm. Returns 0. */
static inline int r_submit(struct route_out *out, enum action_type type)
{
	out->action->type = type;
	out->action->invalid = false;
	out->submit = true;
	return 0;
}

/*
 * What a parser did not take. An error of decoding and an empty PATCH are answered here.
 * One of meaning goes to the vmm like any other request: the wrong moment is said first.
 */
static inline int r_refused(struct route_out *out, enum action_type type, int r,
			    const struct err *e)
{
	if (r == -EBADMSG || r == -ENODATA)
		return r;
	(void)r_submit(out, type);
	out->action->invalid = true;
	out->action->err = *e;
	return 0;
}
