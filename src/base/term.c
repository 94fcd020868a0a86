/* SPDX-License-Identifier: Apache-2.0 */
#include "base/term.h"

#include <asm/termbits.h>
#include <sys/ioctl.h>

/*
 * The kernel's own interface: what C libraries make of tcsetattr() differs from version
 * to version, and a seccomp filter allows one call.
 */
static struct termios saved;
static int raw_fd = -1;

bool term_in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground >= 0 && foreground != getpgrp();
}

int term_make_raw(int fd)
{
	struct termios raw;

	if (raw_fd >= 0 || ioctl(fd, TCGETS, &saved) < 0)
		return 0;
	raw = saved;
	/* As termios(3) defines raw mode. */
	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL |
				   IXON);
	raw.c_oflag &= ~(tcflag_t)OPOST;
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	if (ioctl(fd, TCSETS, &raw) < 0)
		return -errno;
	raw_fd = fd;
	return 0;
}

void term_restore(void)
{
	int kept = errno;

	if (raw_fd >= 0)
		(void)ioctl(raw_fd, TCSETS, &saved);
	raw_fd = -1;
	errno = kept;
}
