/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "test.h"

TEST(an_event_is_taken_once)
{
	int fd = fd_event_create();

	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(!fd_event_take(fd));
	fd_event_signal(fd);
	fd_event_signal(fd);
	CHECK(fd_event_take(fd));
	CHECK(!fd_event_take(fd));
}

TEST(signalling_keeps_errno_and_never_blocks)
{
	int fd = fd_event_create();
	const uint64_t almost_full = UINT64_MAX - 1;

	CHECK_EQ(write(fd, &almost_full, sizeof(almost_full)), sizeof(almost_full));
	errno = ENOTTY;
	fd_event_signal(fd);
	fd_event_signal(-1);
	CHECK_EQ(errno, ENOTTY);
	CHECK(fd_event_take(fd));
}

TEST(an_output_is_made_and_not_truncated)
{
	char path[] = "/tmp/fd-XXXXXX";
	int fd = mkstemp(path);
	char text[8] = "";

	CHECK_EQ(write(fd, "abcdef", 6), 6);
	close(fd);
	fd = fd_open_output(path);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(write(fd, "XY", 2), 2); /* from the start: neither truncated nor appended */
	CHECK_EQ(pread(fd, text, 7, 0), 6);
	CHECK(strcmp(text, "XYcdef") == 0);
	unlink(path);
	close(fd);
	fd = fd_open_output(path);
	CHECK(fd >= 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(fd_open_output("/proc/self/none/x"), -ENOENT);
}

/* Whoever started us may have closed them; then the next file opened would be one of them. */
TEST(closed_standard_descriptors_are_filled)
{
	struct stat null, st;
	int fd = dup(STDERR_FILENO);

	CHECK_EQ(stat("/dev/null", &null), 0);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	CHECK_EQ(fd_fill_standard(), 0);
	for (int i = STDIN_FILENO; i <= STDOUT_FILENO; i++) {
		CHECK_EQ(fstat(i, &st), 0);
		CHECK_EQ(st.st_rdev, null.st_rdev);
	}
	close(STDIN_FILENO);
	CHECK_EQ(fd_fill_standard(), 0);
	CHECK_EQ(fstat(STDIN_FILENO, &st), 0);
	CHECK_EQ(dup(fd), fd + 1); /* nothing else was left open */
	CHECK_EQ(fd_fill_standard(), 0);
	CHECK_EQ(dup(fd), fd + 2);
}

TEST(a_fifo_without_reader_is_an_output)
{
	char path[] = "/tmp/fifo-XXXXXX";
	int fd;

	CHECK(mkdtemp(path));
	CHECK_EQ(chdir(path), 0);
	CHECK_EQ(mkfifo("f", 0600), 0);
	fd = fd_open_output("f");
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(unlink("f"), 0);
	CHECK_EQ(rmdir(path), 0);
}

/* O_NONBLOCK must not leak to those who share the original. */
static void check_own(int (*own_of)(int), int fd)
{
	int own = own_of(fd);

	CHECK(own >= 0);
	CHECK(own != fd);
	CHECK(fcntl(own, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(own, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(own);
}

TEST(pipes_and_terminals_are_opened_anew)
{
	int pipe_fd[2];
	int tty = posix_openpt(O_RDWR | O_NOCTTY);

	CHECK_EQ(pipe(pipe_fd), 0);
	check_own(fd_output_of, pipe_fd[1]);
	check_own(fd_input_of, pipe_fd[0]);
	if (tty >= 0 && grantpt(tty) == 0 && unlockpt(tty) == 0) {
		int slave = open(ptsname(tty), O_RDWR | O_NOCTTY);

		CHECK(slave >= 0);
		check_own(fd_output_of, slave);
		check_own(fd_input_of, slave);
	}
}

TEST(a_file_keeps_its_offset)
{
	char path[] = "/tmp/fd-XXXXXX";
	int fd = mkstemp(path);
	int own = fd_output_of(fd);

	unlink(path);
	CHECK(own >= 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(write(own, "def", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
	CHECK_EQ(fd_output_of(999), -EBADF);
	CHECK_EQ(fd_input_of(-1), -EBADF);
}

TEST(a_socket_is_duplicated)
{
	int pair[2];
	int own;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	own = fd_output_of(pair[0]);
	CHECK(own >= 0);
	CHECK_EQ(write(own, "x", 1), 1);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(failures_are_codes)
{
	fault_arm(0);
	CHECK_EQ(fd_event_create(), -EMFILE);
	fault_arm(0);
	CHECK_EQ(fd_open_output("/dev/null"), -EACCES);
}
#endif
