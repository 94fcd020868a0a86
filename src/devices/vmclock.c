/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmclock.h"

#include <string.h>

#define VMCLOCK_MAGIC 0x4b4c4356 /* "VCLK" */

enum { /* the names of vmclock-abi.h */
       VMCLOCK_VERSION = 1,
       VMCLOCK_COUNTER_INVALID = 0xff,
       VMCLOCK_STATUS_UNKNOWN = 0,
       VMCLOCK_FLAG_VM_GEN_COUNTER_PRESENT = 1 << 8,
       VMCLOCK_FLAG_NOTIFICATION_PRESENT = 1 << 9,
};

struct page { /* struct vmclock_abi; little-endian */
	uint32_t magic;
	uint32_t size;
	uint16_t version;
	uint8_t counter_id;
	uint8_t time_type;

	uint32_t seq_count; /* odd while the rest changes */
	uint64_t disruption_marker;
	uint64_t flags;
	uint8_t pad[2];
	uint8_t clock_status;
	uint8_t leap_second_smearing_hint;
	uint16_t tai_offset_sec;
	uint8_t leap_indicator;
	uint8_t counter_period_shift;
	uint64_t counter[4]; /* value, period and its two errors */
	uint64_t time[4];    /* seconds, fraction and its two errors */
	uint64_t vm_generation_counter;
};
static_assert(offsetof(struct page, disruption_marker) == 16, "vmclock-abi.h");
static_assert(offsetof(struct page, counter) == 40, "vmclock-abi.h");
static_assert(offsetof(struct page, vm_generation_counter) == 104, "vmclock-abi.h");
static_assert(sizeof(struct page) == 112, "vmclock-abi.h");

int vmclock_write(const struct gmem *mem, gpa_t at, struct err *e)
{
	static const struct page page = {
		.magic = VMCLOCK_MAGIC,
		.size = VMCLOCK_SIZE,
		.version = VMCLOCK_VERSION,
		.counter_id = VMCLOCK_COUNTER_INVALID,
		.flags = VMCLOCK_FLAG_VM_GEN_COUNTER_PRESENT | VMCLOCK_FLAG_NOTIFICATION_PRESENT,
		.clock_status = VMCLOCK_STATUS_UNKNOWN,
	};
	int r = gmem_write(mem, at, &page, sizeof(page));

	return r < 0 ? err_set(e, ERR_INTERNAL, r, "VMClock: %s", strerror(-r)) : 0;
}

/* No vCPU runs, so that nobody sees the page between two numbers: it is whole at once. */
int vmclock_disrupt(const struct gmem *mem, gpa_t at, struct err *e)
{
	struct page page;
	int r = gmem_read(mem, at, &page, sizeof(page));

	if (r == 0) {
		page.seq_count = (page.seq_count | 1) + 1;
		page.disruption_marker++;
		page.vm_generation_counter++;
		r = gmem_write(mem, at, &page, sizeof(page));
	}
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "VMClock: %s", strerror(-r)) : 0;
}
