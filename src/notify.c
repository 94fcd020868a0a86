/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"

static const char ready[] = "READY=1\n";

static struct {
	int fd;		  /* owned; -1: none */
	int sock;	  /* owned; -1: none */
	int sock_failure; /* -errno: the environment names one that cannot be used */
} told = { .fd = -1, .sock = -1 };

int notify_set_fd(uint64_t fd, struct err *e)
{
	int flags = fd <= INT32_MAX ? fcntl((int)fd, F_GETFL) : -1;

	if (fd <= STDERR_FILENO)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Invalid value for argument '--ready-fd': %llu is a standard stream",
			       (unsigned long long)fd);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return err_set(e, ERR_INVALID, -EBADF,
			       "Invalid value for argument '--ready-fd': descriptor %llu is not "
			       "open for writing",
			       (unsigned long long)fd);
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "--ready-fd: %s", strerror(errno));
	told.fd = (int)fd;
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	autoclose int sock = -1;

	if ((path[0] != '/' && path[0] != '@') || path[1] == '\0')
		return -EAFNOSUPPORT;
	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@') /* the abstract namespace */
		addr.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&addr,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return take_fd(&sock);
}

void notify_open_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int r;

	if (!path || told.sock >= 0)
		return;
	r = connect_to(path);
	told.sock = r;
	told.sock_failure = r < 0 ? r : 0;
	(void)unsetenv("NOTIFY_SOCKET");
}

static void tell_fd(void)
{
	struct pollfd p = { .fd = told.fd, .events = POLLOUT };
	ssize_t n = -1;

	errno = EAGAIN;
	if (poll(&p, 1, 0) > 0)
		n = write(told.fd, ready, sizeof(ready) - 1);
	if (n < 0)
		log_warn("--ready-fd: %s", strerror(errno));
	fd_close_(&told.fd);
	told.fd = -1;
}

static void tell_socket(void)
{
	if (told.sock_failure == 0 &&
	    send(told.sock, ready, sizeof(ready) - 2, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		told.sock_failure = -errno;
	if (told.sock_failure < 0)
		log_warn("NOTIFY_SOCKET: %s; whoever set it is not told that this is ready",
			 strerror(-told.sock_failure));
	fd_close_(&told.sock);
	told.sock = -1;
	told.sock_failure = 0;
}

void notify_ready(void)
{
	if (told.fd >= 0)
		tell_fd();
	if (told.sock >= 0 || told.sock_failure < 0)
		tell_socket();
}

static int signal_of(const char *name)
{
	static const struct {
		const char *name;
		int sig;
	} known[] = {
		{ "HUP", SIGHUP },
		{ "INT", SIGINT },
		{ "KILL", SIGKILL },
		{ "TERM", SIGTERM },
	};

	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].sig;
	return -EINVAL;
}

int notify_parent_death(const char *signal_name, pid_t parent, struct err *e)
{
	int sig = signal_of(signal_name);

	if (sig < 0)
		return err_set(
			e, ERR_INVALID, sig,
			"Invalid value for argument '--parent-death-signal': `%.32s' is none "
			"of HUP, INT, KILL, TERM",
			signal_name);
	if (prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "--parent-death-signal: %s",
			       strerror(errno));
	/* Asked for too late, it never comes. */
	if (parent != 0 && getppid() != parent)
		(void)kill(getpid(), sig);
	return 0;
}
