/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/fault.h"

static int set_limit(__rlimit_resource_t which, uint64_t value, const char *name, struct err *e)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
	int r = FAULT(-EPERM);

	if (r == 0 && setrlimit(which, &limit) < 0)
		r = -errno;
	if (r == -EPERM)
		return err_set(
			e, ERR_INVALID, r,
			"--resource-limit: %s=%llu is above the hard limit of this process, or "
			"above /proc/sys/fs/nr_open",
			name, (unsigned long long)value);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "--resource-limit: %s=%llu: %s", name,
			       (unsigned long long)value, strerror(-r))
		     : 0;
}

int privilege_limit(uint64_t nofile, uint64_t fsize, struct err *e)
{
	int r = set_limit(RLIMIT_NOFILE, nofile, "no-file", e);

	if (r == 0 && fsize != UINT64_MAX)
		r = set_limit(RLIMIT_FSIZE, fsize, "fsize", e);
	return r == 0 ? set_limit(RLIMIT_CORE, 0, "core", e) : r;
}

/* A change of the user id has cleared what is in effect, but not what may be. */
static int raise_permitted(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, caps) < 0)
		return -errno;
	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++)
		caps[i].effective = caps[i].permitted;
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

int privilege_set_ids(uid_t uid, gid_t gid, bool keep, struct err *e)
{
	int r = FAULT(-EPERM);

	if (r == 0 && keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && setgroups(0, NULL) < 0)
		r = -errno;
	if (r == 0 && setresgid(gid, gid, gid) < 0)
		r = -errno;
	if (r == 0 && setresuid(uid, uid, uid) < 0)
		r = -errno;
	if (r == 0 && keep)
		r = raise_permitted();
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "user %u and group %u: %s", uid, gid,
			       strerror(-r));
	return 0;
}

static int set_capabilities_none(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

/* The bounding set ends where the kernel says that there is no such capability. */
static int drop_bounding(void)
{
	for (unsigned long cap = 0;; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
			return cap > 0 ? 0 : -errno;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
}

int privilege_drop(struct err *e)
{
	const unsigned long secure = SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP |
				     SECBIT_NO_CAP_AMBIENT_RAISE | SECURE_ALL_LOCKS;
	int r = FAULT(-EPERM);

	if (r == 0)
		r = drop_bounding();
	/* User 0 is nobody special any more. */
	if (r == 0 && prctl(PR_SET_SECUREBITS, secure, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_capabilities_none();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "capabilities: %s", strerror(-r)) : 0;
}
