/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/attack.h"

#ifdef WISP_FAULTS

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/text.h"

static pid_t parent; /* a process outside, asked for before asking is denied */

/* Each: 0 when it got what it wanted, or the negative errno of the refusal. */
#define TRY(call) ((call) < 0 ? -errno : 0)

static int open_any(const char *const *paths, unsigned n, int flags)
{
	int r = -ENOENT;

	for (unsigned i = 0; i < n; i++) {
		r = TRY(openat(AT_FDCWD, paths[i], flags | O_CLOEXEC));
		if (r == 0)
			return 0;
	}
	return r;
}

static int host_files(void)
{
	static const char *const paths[] = { "/etc/shadow", "/etc/passwd",
					     "../../../../../../../../etc/passwd", "/root/.ssh",
					     "/var/lib" };

	return open_any(paths, ARRAY_SIZE(paths), O_RDONLY);
}

static int proc_files(void)
{
	static const char *const paths[] = { "/proc/self/mem", "/proc/1/root/etc/passwd",
					     "/proc/sys/kernel/core_pattern" };

	return open_any(paths, ARRAY_SIZE(paths), O_RDWR);
}

static int cgroup_files(void)
{
	static const char *const paths[] = { "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup",
					     "/sys/fs/cgroup/memory/tasks" };

	return open_any(paths, ARRAY_SIZE(paths), O_RDONLY);
}

static int host_devices(void)
{
	static const char *const paths[] = { "/dev/mem", "/dev/vda", "/dev/sda", "/dev/loop0",
					     "/dev/kmsg" };

	return open_any(paths, ARRAY_SIZE(paths), O_RDWR);
}

static int make_device(void)
{
	return TRY(syscall(SYS_mknodat, AT_FDCWD, "/disk", S_IFBLK | 0600, makedev(254, 0)));
}

static int make_ring(void)
{
	struct io_uring_params p = { 0 };

	return TRY(syscall(SYS_io_uring_setup, 8, &p));
}

static int widen_ring(void)
{
	int r = -EBADF;

	for (int fd = 3; fd < 64; fd++) {
		r = TRY(syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &fd, 1));
		if (r == 0)
			break;
	}
	return r;
}

static int new_handler(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} sa = { 0 };

	return TRY(syscall(SYS_rt_sigaction, SIGSYS, &sa, NULL, 8));
}

static int new_filter(void)
{
	return TRY(syscall(SYS_seccomp, 1, 0, NULL));
}

static int trace_parent(void)
{
	return TRY(syscall(SYS_ptrace, PTRACE_SEIZE, parent, 0, 0));
}

static int read_parent(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)(uintptr_t)0x400000, 1 };

	return TRY(syscall(SYS_process_vm_readv, parent, &here, 1, &there, 1, 0));
}

static int signal_parent(void)
{
	return TRY(syscall(SYS_kill, parent, 0));
}

/* By the one call of signals that a thread has left. */
static int abort_parent(void)
{
	return TRY(syscall(SYS_tgkill, parent, parent, SIGABRT));
}

static int mount_something(void)
{
	return TRY(syscall(SYS_mount, "none", "/run", "tmpfs", 0, NULL));
}

static int change_root(void)
{
	return TRY(syscall(SYS_chroot, "/run"));
}

static int join_namespace(void)
{
	int fd = openat(AT_FDCWD, "/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : TRY(syscall(SYS_setns, fd, 0));
}

static int new_namespace(void)
{
	return TRY(syscall(SYS_unshare, CLONE_NEWNS));
}

static int keyring(void)
{
	enum { GET_KEYRING_ID = 0, SESSION_KEYRING = -3 };

	return TRY(syscall(SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 1));
}

static int executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED
		       ? -errno
		       : 0;
}

static int executable_later(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return TRY(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int execute(void)
{
	char *none[] = { NULL };

	return TRY(execve("/program", none, none));
}

static int network(void)
{
	return TRY(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int raw_network(void)
{
	return TRY(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int more_processes(void)
{
	return TRY(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int regain_root(void)
{
	return TRY(syscall(SYS_setuid, 0));
}

static int rename_files(void)
{
	return TRY(syscall(SYS_renameat2, AT_FDCWD, "/program", AT_FDCWD, "/run/program", 0));
}

/* Not refused but bounded: the process ends by its limit on the way. */
static int fill_disk(void)
{
	static char block[1 << 16];
	int fd = openat(AT_FDCWD, "/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < 1 << 14; i++)
		if (write(fd, block, sizeof(block)) < 0)
			return -errno;
	return 0;
}

static int fill_memory(void)
{
	enum { SIZE = 1 << 30 };
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	for (size_t at = 0; at < SIZE; at += 4096)
		p[at] = 1;
	return 0;
}

static int fill_descriptors(void)
{
	int r = 0;

	for (unsigned i = 0; i < 1 << 20 && r == 0; i++)
		r = TRY(openat(AT_FDCWD, "/program", O_RDONLY | O_CLOEXEC));
	return r;
}

static const struct attack {
	const char *name;
	int (*run)(void);
} attacks[] = {
	{ "host-files", host_files },
	{ "proc-files", proc_files },
	{ "cgroup-files", cgroup_files },
	{ "host-devices", host_devices },
	{ "make-device", make_device },
	{ "make-ring", make_ring },
	{ "widen-ring", widen_ring },
	{ "new-handler", new_handler },
	{ "new-filter", new_filter },
	{ "trace-parent", trace_parent },
	{ "read-parent", read_parent },
	{ "signal-parent", signal_parent },
	{ "abort-parent", abort_parent },
	{ "mount", mount_something },
	{ "change-root", change_root },
	{ "join-namespace", join_namespace },
	{ "new-namespace", new_namespace },
	{ "keyring", keyring },
	{ "executable-memory", executable_memory },
	{ "executable-later", executable_later },
	{ "execute", execute },
	{ "network", network },
	{ "raw-network", raw_network },
	{ "more-processes", more_processes },
	{ "regain-root", regain_root },
	{ "rename-files", rename_files },
	{ "fill-disk", fill_disk },
	{ "fill-memory", fill_memory },
	{ "fill-descriptors", fill_descriptors },
};

static const char *const kinds[] = {
	[THREAD_VMM] = "vmm",
	[THREAD_API] = "api",
	[THREAD_VCPU] = "vcpu",
};

struct attacked {
	struct isolation iso;
	const struct isolation *inner;
	enum thread_kind kind;
	const struct attack *attack;
};

static void strike(const struct attack *a)
{
	char buf[128];
	struct text t = TEXT_ON(buf);
	int r = a->run();

	text_str(&t, "attack ");
	text_str(&t, a->name);
	text_str(&t, r == 0 ? ": SUCCEEDED" : ": refused, error ");
	text_u64(&t, (uint64_t)-r);
	text_str(&t, "\n");
	(void)!write(STDERR_FILENO, t.buf, t.len);
	_exit(r == 0 ? ATTACK_SUCCEEDED : ATTACK_REFUSED);
}

static int enter(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	const struct attacked *a = container_of(iso, const struct attacked, iso);
	int r = a->inner->enter(a->inner, kind, e);

	if (r == 0 && kind == a->kind)
		strike(a->attack);
	return r;
}

int attack_prepare(const char *what, const struct isolation *inner, const struct isolation **ret,
		   struct err *e)
{
	static struct attacked chosen;
	const char *name = strchr(what, ':');

	parent = getppid();
	chosen = (struct attacked){ .iso = { .enter = enter }, .inner = inner };
	for (unsigned i = 0; name && i < ARRAY_SIZE(kinds); i++)
		if (strncmp(what, kinds[i], (size_t)(name - what)) == 0 &&
		    strlen(kinds[i]) == (size_t)(name - what))
			for (unsigned k = 0; k < ARRAY_SIZE(attacks); k++)
				if (strcmp(name + 1, attacks[k].name) == 0) {
					chosen.kind = (enum thread_kind)i;
					chosen.attack = &attacks[k];
				}
	if (!chosen.attack)
		return err_set(e, ERR_INVALID, -EINVAL, "--attack: `%s' is not KIND:NAME", what);
	*ret = &chosen.iso;
	return 0;
}

#else

int attack_prepare(const char *what, const struct isolation *inner, const struct isolation **ret,
		   struct err *e)
{
	(void)what;
	(void)inner;
	(void)ret;
	return err_set(e, ERR_INVALID, -EINVAL, "--attack: this build makes none");
}

#endif
