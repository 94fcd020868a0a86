/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <assert.h>
#include <sys/random.h>

#include "base/fault.h"

int random_fill(void *buf, size_t len)
{
	ssize_t n = FAULT(-EIO);

	assert(len <= RANDOM_MAX);
	if (n < 0)
		return (int)n;
	do /* a signal may come while the host's generator has no entropy yet */
		n = getrandom(buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}
