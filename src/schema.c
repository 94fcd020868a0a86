/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <string.h>

#include "api/metrics.h"
#include "base/log.h"
#include "base/metrics.h"
#include "devices/console.h"
#include "devices/i8042.h"
#include "devices/serial.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/net/net.h"
#include "devices/virtio/rng/rng.h"
#include "devices/virtio/vsock/vsock.h"
#include "jail/filter.h"
#include "mmds/mmds.h"
#include "signals.h"
#include "vmm/latency.h"
#include "vmm/vcpu.h"

/* --- the process's own ---------------------------------------------------------- */

static struct startup_metrics {
	counter_t process_startup_time_us, process_startup_time_cpu_us;
} startup;
static counter_t panic_count;

static const char *const startup_names[] = { "process_startup_time_us",
					     "process_startup_time_cpu_us" };
static const char *const log_names[] = { LOG_METRICS(METRICS_NAME) };
static const char *const seccomp_names[] = { "num_faults" };
static const char *const vmm_names[] = { "panic_count" };
static const char *const interrupts_names[] = { "triggers", "config_updates" };
static const char *const signals_names[] = { SIGNALS_METRICS(METRICS_NAME) };

static const struct metrics_shape startup_shape =
	METRICS_SHAPE("api_server", startup_names, struct startup_metrics, .values = true);
static const struct metrics_shape log_shape = METRICS_SHAPE("logger", log_names,
							    struct log_metrics);
static const struct metrics_shape seccomp_shape = METRICS_SHAPE("seccomp", seccomp_names,
								counter_t);
static const struct metrics_shape vmm_shape = METRICS_SHAPE("vmm", vmm_names, counter_t);
static const struct metrics_shape signals_shape = METRICS_SHAPE("signals", signals_names,
								struct signals_metrics);

static const struct metrics_shape interrupts_shape = METRICS_SHAPE("interrupts", interrupts_names,
								   struct vdev_interrupts);

static struct metrics_group own[] = {
	{ .shape = &startup_shape, .counters = &startup },
	{ .shape = &log_shape, .counters = &log_metrics },
	{ .shape = &seccomp_shape, .counters = &filter_faults },
	{ .shape = &vmm_shape, .counters = &panic_count },
	{ .shape = &signals_shape, .counters = &signals_metrics },
	{ .shape = &interrupts_shape, .counters = &vdev_interrupts },
};

/* --- devices that are to come: names and zeros ------------------------------------- */

#define NOT_YET(id, group, nlatencies, ...)                       \
	static const char *const id##_names[] = { __VA_ARGS__ };  \
	static const struct metrics_shape id##_shape = {          \
		.name = (group),                                  \
		.fields = id##_names,                             \
		.n = ARRAY_SIZE(id##_names),                      \
		.slots = ARRAY_SIZE(id##_names) + (nlatencies)*2, \
	}

NOT_YET(balloon, "balloon", 0, "activate_fails", "inflate_count", "stats_updates_count",
	"stats_update_fails", "deflate_count", "event_fails", "free_page_report_count",
	"free_page_report_freed", "free_page_report_fails", "free_page_hint_count",
	"free_page_hint_freed", "free_page_hint_fails");
NOT_YET(pmem, "pmem", 0, "activate_fails", "cfg_fails", "event_fails", "queue_event_count",
	"rate_limiter_throttled_events", "rate_limiter_event_count");
NOT_YET(memory_hotplug, "memory_hotplug", 4, "activate_fails", "queue_event_fails",
	"queue_event_count", "plug_count", "plug_bytes", "plug_fails", "plug_agg", "unplug_count",
	"unplug_bytes", "unplug_fails", "unplug_discard_fails", "unplug_agg", "state_count",
	"state_fails", "state_agg", "unplug_all_count", "unplug_all_fails", "unplug_all_agg");

/* --- the whole ---------------------------------------------------------------------- */

static const struct metrics_shape *const shapes[] = {
	&startup_shape,	       &balloon_shape,	     &blk_metrics_shape,
	&api_deprecated_shape, &api_get_shape,	     &i8042_metrics_shape,
	&vmm_latencies_shape,  &log_shape,	     &mmds_metrics_shape,
	&net_metrics_shape,    &api_patch_shape,     &api_put_shape,
	&seccomp_shape,	       &vcpu_metrics_shape,  &vmm_shape,
	&serial_metrics_shape, &serial_own_shape,    &console_metrics_shape,
	&signals_shape,	       &vsock_metrics_shape, &rng_metrics_shape,
	&pmem_shape,	       &interrupts_shape,    &memory_hotplug_shape,
};

int schema_init(struct err *e)
{
	metrics_set_schema(shapes, ARRAY_SIZE(shapes));
	for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
		int r = metrics_add(&own[i]);

		if (r < 0)
			return err_set(e, ERR_INTERNAL, r, "metrics: %s", strerror(-r));
	}
	return 0;
}

void schema_set_startup(uint64_t us, uint64_t cpu_us)
{
	counter_set(&startup.process_startup_time_us, us);
	counter_set(&startup.process_startup_time_cpu_us, cpu_us);
}

void schema_count_panic(void)
{
	counter_inc(&panic_count);
}
