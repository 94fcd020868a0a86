/* SPDX-License-Identifier: Apache-2.0 */
#include "base/term.h"

#include <termios.h>

static struct termios saved;
static int raw_fd = -1;

int term_make_raw(int fd)
{
	struct termios raw;

	if (raw_fd >= 0 || !isatty(fd))
		return 0;
	if (tcgetattr(fd, &saved) < 0)
		return -errno;
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return -errno;
	raw_fd = fd;
	return 0;
}

void term_restore(void)
{
	int kept = errno;

	if (raw_fd >= 0)
		(void)tcsetattr(raw_fd, TCSANOW, &saved);
	raw_fd = -1;
	errno = kept;
}
