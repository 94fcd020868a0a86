/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/spaces.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/fault.h"

int spaces_join_net(const char *path, struct err *e)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, ERR_INVALID, -errno, "--netns: `%s': %s", path, strerror(errno));
	if (setns(fd, CLONE_NEWNET) == 0)
		return 0;
	switch (errno) {
	case EINVAL:
		return err_set(e, ERR_INVALID, -EINVAL, "--netns: `%s' is no network namespace",
			       path);
	case EPERM:
		return err_set(e, ERR_INVALID, -EPERM,
			       "--netns: `%s': joining it takes CAP_SYS_ADMIN where it was made; "
			       "without root, start the jailer inside it",
			       path);
	default:
		return err_set(e, ERR_INTERNAL, -errno, "--netns: `%s': %s", path, strerror(errno));
	}
}

int spaces_new(int flags, const char *option, struct err *e)
{
	int r = FAULT(-EPERM);

	if (r == 0 && unshare(flags) < 0)
		r = -errno;
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "%s: unshare: %s", option, strerror(-r)) : 0;
}

static int write_map(int procfd, const char *file, const char *text, struct err *e)
{
	autoclose int fd = openat(procfd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "user namespace: /proc/%s: %s", file,
			       strerror(errno));
	return 0;
}

int spaces_new_user(int procfd, uid_t uid, gid_t gid, int flags, struct err *e)
{
	char map[64];
	int r = FAULT(-EPERM);

	/* Or /proc/self would belong to root, after a change of ids. privilege_drop() undoes it. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && unshare(CLONE_NEWUSER | flags) < 0)
		r = -errno;
	if (r == -EPERM || r == -ENOSPC || r == -EUSERS)
		return err_set(e, ERR_INVALID, r,
			       "user namespace: %s: this host allows none to this user: see "
			       "/proc/sys/user/max_user_namespaces, "
			       "/proc/sys/kernel/unprivileged_userns_clone and AppArmor's "
			       "restriction",
			       strerror(-r));
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "user namespace: %s", strerror(-r));
	r = write_map(procfd, "self/setgroups", "deny", e);
	if (r < 0)
		return r;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	r = write_map(procfd, "self/uid_map", map, e);
	if (r < 0)
		return r;
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_map(procfd, "self/gid_map", map, e);
}
