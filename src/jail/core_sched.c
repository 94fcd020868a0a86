/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/core_sched.h"

#include <linux/prctl.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/fault.h"

int core_sched_enable(struct err *e)
{
	int r = FAULT(-EINVAL);

	if (r == 0 &&
	    prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0) < 0)
		r = -errno;
	switch (r) {
	case 0:
		return 1;
	case -ENODEV:
		return 0;
	case -EINVAL:
		return err_set(e, ERR_INTERNAL, r,
			       "--core-sched: this host's kernel has no core scheduling "
			       "(CONFIG_SCHED_CORE, Linux 5.14); switch SMT off instead, or start "
			       "without the option");
	default:
		return err_set(e, ERR_INTERNAL, r, "--core-sched: %s", strerror(-r));
	}
}
