/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests.  One program per module; TEST(name) { ... } registers itself and
 * runs in a child of its own, so a crash, a hang or a dirty exit is one failed
 * line and the rest still runs.  Output is TAP; exit 0, 1, or 77 for "all
 * skipped".
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_SKIP = 77 };

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *t);

/* Whether this is a long run: WISP_SOAK is set. Tests may do more then, and take longer. */
bool test_soaks(void);

#define TEST(id)                                                  \
	static void test_##id(void);                              \
	static struct test entry_##id = { #id, test_##id, NULL }; \
	__attribute__((constructor)) static void add_##id(void)   \
	{                                                         \
		test_register(&entry_##id);                       \
	}                                                         \
	static void test_##id(void)

#define CHECK(cond)                                                                  \
	do {                                                                         \
		if (!(cond)) {                                                       \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		long long a_ = (long long)(a), b_ = (long long)(b);                                \
		if (a_ != b_) {                                                                    \
			fprintf(stderr, "# %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #a, \
				a_, b_);                                                           \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define FAIL(what)                                                            \
	do {                                                                  \
		fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, (what)); \
		exit(1);                                                      \
	} while (0)

#define SKIP(why)                                       \
	do {                                            \
		fprintf(stderr, "# skip: %s\n", (why)); \
		exit(TEST_SKIP);                        \
	} while (0)
