/* SPDX-License-Identifier: Apache-2.0 */
#include "base/term.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "test.h"

static int terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int fd;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		SKIP("no pseudo terminals");
	fd = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK(fd >= 0);
	return fd;
}

static tcflag_t modes(int fd)
{
	struct termios t;

	CHECK_EQ(tcgetattr(fd, &t), 0);
	return t.c_lflag & (ICANON | ECHO | ISIG);
}

TEST(raw_and_back)
{
	int fd = terminal();
	tcflag_t before = modes(fd);

	CHECK(before & ICANON);
	CHECK_EQ(term_make_raw(fd), 0);
	CHECK_EQ(modes(fd), 0);
	CHECK_EQ(term_make_raw(fd), 0); /* raw already: what was saved stays */
	errno = ENOTTY;
	term_restore();
	CHECK_EQ(errno, ENOTTY);
	CHECK_EQ(modes(fd), before);
	term_restore();
	CHECK_EQ(modes(fd), before);
}

TEST(what_is_no_terminal_is_left_alone)
{
	int fd[2];

	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(term_make_raw(fd[0]), 0);
	CHECK_EQ(term_make_raw(-1), 0);
	term_restore();
}

/* What a job of a shell on this terminal sees, in the foreground or behind it. */
static bool seen_by_job(int fd, bool background)
{
	int status = 0;
	pid_t job = fork();

	if (job == 0) {
		if (background && setpgid(0, 0) < 0)
			_exit(2);
		_exit(term_in_background(fd) ? 1 : 0);
	}
	CHECK_EQ(waitpid(job, &status, 0), job);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	return WEXITSTATUS(status) == 1;
}

TEST(a_background_job_knows_that_the_terminal_is_not_its_own)
{
	int fd = terminal();
	int fds[2];

	CHECK(!term_in_background(fd)); /* not our controlling terminal: nobody stops us */
	CHECK_EQ(pipe(fds), 0);
	CHECK(!term_in_background(fds[0]));
	CHECK(!term_in_background(-1));
	if (setsid() < 0) /* we lead a group already */
		SKIP("no session of our own");
	CHECK_EQ(ioctl(fd, TIOCSCTTY, 0), 0);
	CHECK(!seen_by_job(fd, false));
	CHECK(seen_by_job(fd, true));
}
