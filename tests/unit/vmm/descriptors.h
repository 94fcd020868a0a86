/* SPDX-License-Identifier: Apache-2.0 */
/* What a process holds: how many descriptors and how many threads. */
#pragma once

#include <dirent.h>

#include "base/cc.h"
#include "test.h"

static inline unsigned entries_of(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline unsigned open_descriptors(void)
{
	return entries_of("/proc/self/fd");
}

/* Only this thread is left. */
static inline bool alone(void)
{
#ifdef __SANITIZE_THREAD__
	const unsigned most = 5; /* with `.' and `..', and two of its own */
#else
	const unsigned most = 3; /* with `.' and `..' */
#endif
	/* A thread that was joined may be listed for another moment. */
	for (unsigned i = 0; i < 2000; i++) {
		if (entries_of("/proc/self/task") <= most)
			return true;
		usleep(1000);
	}
	return false;
}
