/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clocks ROUNDS     whether time runs back for a thread that goes from processor to processor
 *
 * Looks at CLOCK_MONOTONIC and at the TSC on each processor in turn. Prints what it finds and
 * ends with status 1, or 0 when both have only gone on.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct reading {
	uint64_t monotonic_ns, tsc;
};

static struct reading read_on(int cpu)
{
	struct timespec t = { 0 };
	struct reading r;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0) {
		fprintf(stderr, "clocks: processor %d: %s\n", cpu, strerror(errno));
		exit(2);
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	r.monotonic_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	_mm_lfence();
	r.tsc = __rdtsc();
	return r;
}

int main(int argc, char **argv)
{
	const long rounds = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct reading last = { 0 };
	int status = 0;

	for (long n = 0; n < rounds; n++)
		for (int cpu = 0; cpu < cpus; cpu++) {
			struct reading now = read_on(cpu);

			if (now.monotonic_ns < last.monotonic_ns || now.tsc < last.tsc) {
				printf("processor %d: %" PRIu64 " ns after %" PRIu64
				       ", TSC %" PRIu64 " after %" PRIu64 "\n",
				       cpu, now.monotonic_ns, last.monotonic_ns, now.tsc, last.tsc);
				status = 1;
			}
			last = now;
		}
	if (rounds <= 0 || cpus < 2) {
		fprintf(stderr, "usage: clocks ROUNDS, with two processors at least\n");
		return 2;
	}
	return status;
}
