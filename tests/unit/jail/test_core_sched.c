/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/core_sched.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

#include "base/fault.h"
#include "test.h"

static uint64_t cookie(void)
{
	unsigned long long v = 0;

	CHECK_EQ(prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &v), 0);
	return v;
}

/* What the kernel can do here decides which of the three it is; each is checked. */
TEST(in_force_or_not_needed_or_told)
{
	struct err e = { 0 };
	int r = core_sched_enable(&e);

	if (r == 1) {
		CHECK(cookie() != 0);
	} else if (r == 0) {
		CHECK_EQ(e.msg[0], '\0');
	} else {
		CHECK_EQ(r, -EINVAL);
		CHECK(strstr(e.msg, "CONFIG_SCHED_CORE"));
	}
}

#ifdef WISP_FAULTS
TEST(a_kernel_without)
{
	struct err e = { 0 };

	fault_arm(0);
	CHECK_EQ(core_sched_enable(&e), -EINVAL);
	CHECK(strncmp(e.msg, "--core-sched: ", 14) == 0);
	CHECK(strstr(e.msg, "CONFIG_SCHED_CORE"));
}
#endif
