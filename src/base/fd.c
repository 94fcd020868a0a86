/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/fault.h"

int fd_event_create(void)
{
	int r = FAULT(-EMFILE);

	if (r < 0)
		return r;
	r = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return r < 0 ? -errno : r;
}

void fd_event_signal(int fd)
{
	const uint64_t one = 1;
	int saved = errno;

	/* Fails only when the counter is full, and then the reader is awake anyway. */
	(void)!write(fd, &one, sizeof(one));
	errno = saved;
}

bool fd_event_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

int fd_open_output(const char *path)
{
	int fd = FAULT(-EACCES);

	if (fd < 0)
		return fd;
	fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0644);
	return fd < 0 ? -errno : fd;
}

/* See fd.h; `access' is O_RDONLY or O_WRONLY. */
static int own_of(int fd, int access)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (own >= 0)
			return own;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	if (S_ISSOCK(st.st_mode))
		(void)fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK);
	return own;
}

int fd_output_of(int fd)
{
	return own_of(fd, O_WRONLY);
}

int fd_input_of(int fd)
{
	return own_of(fd, O_RDONLY);
}

int fd_fill_standard(void)
{
	/* A jail need not have /dev/null: it is looked for only when it is wanted. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return errno ? -errno : -EBADF;
	return 0;
}
