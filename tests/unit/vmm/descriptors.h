/* SPDX-License-Identifier: Apache-2.0 */
/* What a process holds: how many descriptors and how many threads. */
#pragma once

#include <dirent.h>

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

static inline unsigned threads(void)
{
	return entries_of("/proc/self/task");
}
