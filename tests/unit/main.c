/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Only a test that hangs takes so long, however busy the machine is. */
enum { LIMIT_SECONDS = 120, SOAK_LIMIT_SECONDS = 1800 };

static struct test *first, **tail = &first;

void test_register(struct test *t)
{
	*tail = t;
	tail = &t->next;
}

bool test_soaks(void)
{
	return getenv("WISP_SOAK") != NULL;
}

static int run_child(const struct test *t)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0) {
		alarm(test_soaks() ? SOAK_LIMIT_SECONDS : LIMIT_SECONDS);
		t->run();
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "# %s: killed by signal %d (%s)\n", t->name, WTERMSIG(status),
		WTERMSIG(status) == SIGALRM ? "out of time" : strsignal(WTERMSIG(status)));
	return 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	unsigned n = 0, failed = 0, skipped = 0;

	for (const struct test *t = first; t; t = t->next) {
		int r;

		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		r = run_child(t);
		failed += r != 0 && r != TEST_SKIP;
		skipped += r == TEST_SKIP;
		printf("%sok %u - %s%s\n", r == 0 || r == TEST_SKIP ? "" : "not ", ++n, t->name,
		       r == TEST_SKIP ? " # SKIP" : "");
	}
	printf("1..%u\n", n);
	if (failed)
		return 1;
	return n > 0 && skipped == n ? TEST_SKIP : 0;
}
