/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stage.h"

static usec_t reached[STAGES]; /* (A) 0: not yet */

static const char *const names[] = {
	[STAGE_PROCESS_START] = "process_start", [STAGE_API_READY] = "api_ready",
	[STAGE_VM_CREATED] = "vm_created",	 [STAGE_MEMORY] = "memory",
	[STAGE_KERNEL_LOADED] = "kernel_loaded", [STAGE_FIRST_RUN] = "first_vcpu_run",
	[STAGE_FIRST_DEVICE] = "first_device",	 [STAGE_BOOT_TIMER] = "boot_timer",
};

usec_t stage_reached(enum stage stage)
{
	return __atomic_load_n(&reached[stage], __ATOMIC_RELAXED);
}

void stage_mark_at(enum stage stage, usec_t when)
{
	usec_t no = 0;

	if (stage_reached(stage) > 0)
		return;
	(void)__atomic_compare_exchange_n(&reached[stage], &no, when, false, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED);
}

void stage_mark(enum stage stage)
{
	if (stage_reached(stage) == 0)
		stage_mark_at(stage, clock_monotonic());
}

void stage_forget_machine(void)
{
	for (unsigned i = STAGE_VM_CREATED; i < STAGES; i++)
		__atomic_store_n(&reached[i], 0, __ATOMIC_RELAXED);
}

void stage_print_text(struct text *t)
{
	usec_t start = stage_reached(STAGE_PROCESS_START);

	text_str(t, "# TYPE wisp_boot_stage_seconds gauge\n");
	for (unsigned i = 0; i < STAGES; i++) {
		usec_t at = stage_reached((enum stage)i);

		if (at < start || at == 0)
			continue;
		text_fmt(t, "wisp_boot_stage_seconds{stage=\"%s\"} %llu.%06llu\n", names[i],
			 (unsigned long long)((at - start) / USEC_PER_SEC),
			 (unsigned long long)((at - start) % USEC_PER_SEC));
	}
}
