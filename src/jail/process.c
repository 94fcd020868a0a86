/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/fault.h"

int process_lock(const struct beneath *root, const char *file, int *ret_fd, struct err *e)
{
	autoclose int fd = beneath_open(root->fd, file, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);

	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "`%s/%s': %s", root->name, file, strerror(-fd));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_STATE, -EBUSY,
			       "`%s': a microVM with this id is running (its pid is in %s)",
			       root->name, file);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The parent's streams and buffers are the child's now: nothing is flushed twice. */
static int fork_and_leave(struct err *e)
{
	int r = FAULT(-EAGAIN);
	pid_t pid = r == 0 ? fork() : -1;

	if (pid < 0)
		return err_set(e, ERR_INTERNAL, r < 0 ? r : -errno, "fork: %s",
			       strerror(r < 0 ? -r : errno));
	if (pid > 0)
		_exit(EXIT_SUCCESS);
	return 0;
}

int process_daemonize(struct err *e)
{
	int r = fork_and_leave(e);

	if (r < 0)
		return r;
	if (setsid() < 0)
		return err_set(e, ERR_INTERNAL, -errno, "setsid: %s", strerror(errno));
	/* Not the leader of its session: it can never get a terminal again. */
	return fork_and_leave(e);
}

int process_redirect(int nullfd, struct err *e)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(nullfd, fd) < 0)
			return err_set(e, ERR_INTERNAL, -errno, "/dev/null: %s", strerror(errno));
	return 0;
}

int process_write_pid(int pidfile, long pid, struct err *e)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld", pid);

	if (write(pidfile, text, (size_t)len) != len)
		return err_set(e, ERR_INTERNAL, -errno, "pid file: %s", strerror(errno));
	return 0;
}

int process_fork_first(int pidfile, struct err *e)
{
	int written[2], r = FAULT(-EAGAIN);
	pid_t pid;
	char byte;

	if (r < 0 || pipe2(written, O_CLOEXEC) < 0)
		return err_set(e, ERR_INTERNAL, r < 0 ? r : -errno, "pipe: %s",
			       strerror(r < 0 ? -r : errno));
	pid = fork();
	if (pid < 0)
		return err_set(e, ERR_INTERNAL, -errno, "--new-pid-ns: fork: %s", strerror(errno));
	if (pid > 0) {
		r = process_write_pid(pidfile, pid, e);
		if (r == 0 && write(written[1], "", 1) == 1)
			_exit(EXIT_SUCCESS);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		close(written[0]);
		close(written[1]);
		return r < 0 ? r : err_set(e, ERR_INTERNAL, -errno, "--new-pid-ns: pipe");
	}
	close(written[1]);
	/* A monitor that no pid file names would be found by nobody. */
	if (read(written[0], &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	(void)!read(written[0], &byte, 1); /* the end of the parent ends the wait */
	close(written[0]);
	return 0;
}
