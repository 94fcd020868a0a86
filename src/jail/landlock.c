/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/landlock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fault.h"

/*
 * landlock(7) and include/uapi/linux/landlock.h, numbers of our own: the headers of the
 * build host may be older than the kernel that runs.
 */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,	/* ABI 2 */
	FS_TRUNCATE = 1 << 14,	/* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
	NET_BIND_TCP = 1 << 0,	/* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,
	CREATE_RULESET_VERSION = 1 << 0,
	RULE_PATH_BENEATH = 1,
};

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped;	     /* ABI 6 */
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct landlock_rules landlock_rules_of(int abi, bool may_execute)
{
	struct landlock_rules rules = { .size = offsetof(struct ruleset_attr, handled_access_net) };
	const uint64_t never = FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_MAKE_SYM | FS_MAKE_DIR |
			       FS_REMOVE_DIR | FS_REFER | (may_execute ? 0 : FS_EXECUTE);

	rules.fs = (FS_MAKE_SYM << 1) - 1;
	if (abi >= 2)
		rules.fs |= FS_REFER;
	if (abi >= 3)
		rules.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		rules.net = NET_BIND_TCP | NET_CONNECT_TCP;
		rules.size = offsetof(struct ruleset_attr, scoped);
	}
	if (abi >= 5)
		rules.fs |= FS_IOCTL_DEV;
	if (abi >= 6) {
		rules.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
		rules.size = sizeof(struct ruleset_attr);
	}
	rules.below_root = rules.fs & ~never;
	return rules;
}

static int create_ruleset(const struct landlock_rules *rules)
{
	const struct ruleset_attr attr = { .handled_access_fs = rules->fs,
					   .handled_access_net = rules->net,
					   .scoped = rules->scoped };
	long fd = syscall(SYS_landlock_create_ruleset, &attr, rules->size, 0);

	return fd < 0 ? -errno : (int)fd;
}

static int allow_root(int ruleset, uint64_t access)
{
	autoclose int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct path_beneath_attr attr = { .allowed_access = access, .parent_fd = root };

	if (root < 0 || syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
		return -errno;
	return 0;
}

int landlock_enter(bool may_execute, struct err *e)
{
	long abi = FAULT(-EOPNOTSUPP);
	struct landlock_rules rules;
	autoclose int ruleset = -1;
	int r;

	if (abi == 0)
		abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	if (abi < 0)
		return 1;
	rules = landlock_rules_of((int)abi, may_execute);
	ruleset = create_ruleset(&rules);
	r = ruleset < 0 ? ruleset : allow_root(ruleset, rules.below_root);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "Landlock: %s", strerror(-r)) : 0;
}
