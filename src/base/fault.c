/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

static long remaining = -1;
static bool fired;

void fault_arm(long n)
{
	__atomic_store_n(&fired, false, __ATOMIC_RELAXED);
	__atomic_store_n(&remaining, n, __ATOMIC_RELAXED);
}

bool fault_fired(void)
{
	return __atomic_load_n(&fired, __ATOMIC_RELAXED);
}

int fault_check(int code)
{
	if (__atomic_load_n(&remaining, __ATOMIC_RELAXED) < 0)
		return 0;
	if (__atomic_fetch_sub(&remaining, 1, __ATOMIC_RELAXED) != 0)
		return 0;
	__atomic_store_n(&fired, true, __ATOMIC_RELAXED);
	return code;
}
