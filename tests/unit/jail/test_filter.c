/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/fault.h"
#include "confined.h"

static const char *const kinds[] = { "vmm", "api", "vcpu" };

enum { ANON = MAP_PRIVATE | MAP_ANONYMOUS, RW = PROT_READ | PROT_WRITE };
#define BAD_FD	      ((unsigned long)-1)
#define SIGN_EXTENDED 0xffffffff00000000ul

static void check_allowed(enum thread_kind kind, const struct call *calls, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = kind,
				      .run = make_call,
				      .call = &calls[i] };

		confined_run(&c);
		if (!was_allowed(&c))
			fprintf(stderr, "# %s, row %u: status %#x, %s\n", kinds[kind], i, c.status,
				c.text);
		CHECK(was_allowed(&c));
	}
}

static void check_denied(enum thread_kind kind, const struct call *calls, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = kind,
				      .run = make_call,
				      .call = &calls[i] };
		char number[32];

		confined_run(&c);
		if (!was_denied(&c))
			fprintf(stderr, "# %s, row %u: status %#x, %s\n", kinds[kind], i, c.status,
				c.text);
		CHECK(was_denied(&c));
		snprintf(number, sizeof(number), "(%ld)", calls[i].nr);
		CHECK(strstr(c.text, number));
	}
}

/* What no thread may do, whatever else it may. */
static const struct call denied_to_all[] = {
	{ SYS_socket, { AF_INET, SOCK_STREAM } },
	{ SYS_socket, { AF_NETLINK, SOCK_RAW } },
	{ SYS_io_uring_setup, { 8 } },
	{ SYS_io_uring_register, { BAD_FD, IORING_REGISTER_BUFFERS } },
	{ SYS_io_uring_register, { BAD_FD, IORING_REGISTER_FILES } },
	{ SYS_execve, { 0 } },
	{ SYS_execveat, { BAD_FD } },
	{ SYS_ptrace, { 0 } },
	{ SYS_process_vm_writev, { 0 } },
	{ SYS_fork, { 0 } },
	{ SYS_clone, { SIGCHLD } },
	{ SYS_clone3, { 0 } },
	{ SYS_prctl, { PR_SET_NAME } },
	{ SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ SYS_rt_sigaction, { SIGSYS, 0, 0, 8 } },
	{ SYS_sigaltstack, { 0 } },
	{ SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, ANON } },
	{ SYS_mmap, { 0, 4096, PROT_EXEC, ANON } },
	{ SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC } },
	{ SYS_pkey_mprotect, { 0, 4096, PROT_READ } },
	{ SYS_ioctl, { BAD_FD, KVM_CREATE_VCPU } },
	{ SYS_ioctl, { BAD_FD, KVM_IRQFD } },
	{ SYS_ioctl, { BAD_FD, KVM_IOEVENTFD } },
	{ SYS_ioctl, { BAD_FD, KVM_SET_USER_MEMORY_REGION } },
	{ SYS_ioctl, { BAD_FD, TIOCSTI } },
	{ SYS_tgkill, { SELF, 0, SIGKILL } },
	{ SYS_tgkill, { 1, 1, SIGABRT } }, /* only to oneself */
	{ SYS_kill, { 0, 0 } },
	{ SYS_bpf, { 0 } },
	{ SYS_open, { 0 } },
	{ SYS_mount, { 0 } },
	{ SYS_setns, { BAD_FD } },
	{ SYS_seccomp, { SECCOMP_GET_ACTION_AVAIL } },
	{ SYS_memfd_create, { 0 } },
};

TEST(no_thread_may)
{
	SKIP_IF_SANITIZED();
	for (unsigned kind = THREAD_VMM; kind <= THREAD_VCPU; kind++)
		check_denied((enum thread_kind)kind, denied_to_all, ARRAY_SIZE(denied_to_all));
}

static const struct call denied_to_vcpu[] = {
	{ SYS_socket, { AF_UNIX, SOCK_STREAM } },
	{ SYS_mprotect, { 0, 4096, RW } },
	{ SYS_read, { BAD_FD } },
	{ SYS_openat, { BAD_FD } },
	{ SYS_close, { BAD_FD } },
	{ SYS_epoll_wait, { BAD_FD } },
	{ SYS_io_uring_enter, { BAD_FD } },
	{ SYS_ioctl, { BAD_FD, KVM_GET_CLOCK } },
	{ SYS_ioctl, { BAD_FD, KVM_RUN + 1 } },
	{ SYS_mmap, { 0, 4096, RW, MAP_SHARED } },
	{ SYS_madvise, { 0, 4096, MADV_REMOVE } },
	{ SYS_tgkill, { 0, 0, 34 } },
	{ SYS_writev, { 1 } },
};

static const struct call denied_to_api[] = {
	{ SYS_socket, { AF_UNIX, SOCK_STREAM } },
	{ SYS_mprotect, { 0, 4096, RW } },
	{ SYS_openat, { BAD_FD } },
	{ SYS_ioctl, { BAD_FD, KVM_RUN } },
	{ SYS_connect, { BAD_FD } },
	{ SYS_bind, { BAD_FD } },
	{ SYS_mmap, { 0, 4096, RW, MAP_SHARED } },
	{ SYS_fcntl, { BAD_FD, F_DUPFD } },
	{ SYS_setsockopt, { BAD_FD, SOL_SOCKET } },
	{ SYS_io_uring_enter, { BAD_FD } },
};

static const struct call denied_to_vmm[] = {
	{ SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0 } },
	{ SYS_socket, { AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0 } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0 } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 1 } },
	{ SYS_accept4, { BAD_FD, 0, 0, SOCK_CLOEXEC } },
	{ SYS_bind, { BAD_FD } },
	{ SYS_listen, { BAD_FD } },
	{ SYS_ioctl, { BAD_FD, KVM_RUN } },
	{ SYS_ioctl, { BAD_FD, BLKDISCARD } },
	{ SYS_fcntl, { BAD_FD, F_SETOWN } },
	{ SYS_rename, { 0 } },
	{ SYS_madvise, { 0, 4096, MADV_HWPOISON } },
};

TEST(vcpu_may_not)
{
	SKIP_IF_SANITIZED();
	check_denied(THREAD_VCPU, denied_to_vcpu, ARRAY_SIZE(denied_to_vcpu));
}

TEST(api_may_not)
{
	SKIP_IF_SANITIZED();
	check_denied(THREAD_API, denied_to_api, ARRAY_SIZE(denied_to_api));
}

TEST(vmm_may_not)
{
	SKIP_IF_SANITIZED();
	check_denied(THREAD_VMM, denied_to_vmm, ARRAY_SIZE(denied_to_vmm));
}

static const struct call allowed_to_vcpu[] = {
	{ SYS_ioctl, { BAD_FD, KVM_RUN } },
	{ SYS_ioctl, { BAD_FD, SIGN_EXTENDED | KVM_RUN } }, /* the kernel looks at 32 bits */
	{ SYS_write, { BAD_FD } },
	{ SYS_futex, { 0, FUTEX_WAKE } },
	{ SYS_mmap, { 0, 4096, RW, ANON } },
	{ SYS_madvise, { 0, 0, MADV_DONTNEED } },
	{ SYS_clock_gettime, { 1 } },
	{ SYS_writev, { 2 } },
	{ SYS_exit, { 0 } },
	{ SYS_exit_group, { 0 } },
};

static const struct call allowed_to_api[] = {
	{ SYS_accept4, { BAD_FD } },	{ SYS_recvfrom, { BAD_FD } },
	{ SYS_sendmsg, { BAD_FD } },	{ SYS_shutdown, { BAD_FD } },
	{ SYS_epoll_wait, { BAD_FD } }, { SYS_epoll_ctl, { BAD_FD } },
	{ SYS_read, { BAD_FD } },	{ SYS_fcntl, { BAD_FD, F_DUPFD_CLOEXEC } },
	{ SYS_mremap, { 0 } },
};

static const struct call allowed_to_vmm[] = {
	{ SYS_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0 } },
	{ SYS_connect, { BAD_FD } },
	{ SYS_accept4, { BAD_FD, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK } },
	{ SYS_epoll_wait, { BAD_FD } },
	{ SYS_poll, { 0 } },
	{ SYS_openat, { BAD_FD } },
	{ SYS_preadv2, { BAD_FD } },
	{ SYS_pwritev, { BAD_FD } },
	{ SYS_fdatasync, { BAD_FD } },
	{ SYS_fallocate, { BAD_FD } },
	{ SYS_io_uring_enter, { BAD_FD } },
	{ SYS_io_uring_register, { BAD_FD, IORING_REGISTER_FILES_UPDATE } },
	{ SYS_mmap,
	  {
		  0,
		  4096,
		  RW,
		  MAP_SHARED,
	  } },
	{ SYS_madvise, { 0, 0, MADV_DONTNEED } },
	{ SYS_ioctl, { BAD_FD, KVM_GET_CLOCK } },
	{ SYS_ioctl, { BAD_FD, BLKGETSIZE64 } },
	{ SYS_ioctl, { BAD_FD, SIGN_EXTENDED | BLKGETSIZE64 } },
	{ SYS_ioctl, { BAD_FD, TCSETS } },
	{ SYS_tgkill, { SELF, 0, 34 } }, /* SIGRTMIN */
	{ SYS_getrandom, { 0 } },
};

TEST(vcpu_may)
{
	SKIP_IF_SANITIZED();
	check_allowed(THREAD_VCPU, allowed_to_vcpu, ARRAY_SIZE(allowed_to_vcpu));
}

TEST(api_may)
{
	SKIP_IF_SANITIZED();
	check_allowed(THREAD_API, allowed_to_api, ARRAY_SIZE(allowed_to_api));
}

TEST(vmm_may)
{
	SKIP_IF_SANITIZED();
	check_allowed(THREAD_VMM, allowed_to_vmm, ARRAY_SIZE(allowed_to_vmm));
}

/* malloc's ways of getting and returning memory, and a log line's calls. */
static void use_library(const struct confined *c)
{
	enum { BLOCKS = 4000, BLOCK = 1000 }; /* together far above the limit of trimming */
	static char *blocks[BLOCKS];
	char name[16];

	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(BLOCK);
	for (unsigned i = BLOCKS; i-- > 0;)
		free(blocks[i]);

	for (size_t size = 16; size <= (4u << 20); size *= 4) {
		char *p = malloc(size), *q;

		if (!p)
			_exit(BROKEN_TEST);
		memset(p, 1, size);
		q = c->kind == THREAD_VCPU ? NULL : realloc(p, 2 * size);
		free(q ? q : p);
	}
	(void)clock_monotonic();
	(void)clock_process_cpu();
	(void)prctl(PR_GET_NAME, name);
}

static void abort_now(const struct confined *c)
{
	(void)c;
	abort();
}

TEST(malloc_and_thread_end_work)
{
	SKIP_IF_SANITIZED();
	for (unsigned kind = THREAD_API; kind <= THREAD_VCPU; kind++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = (enum thread_kind)kind,
				      .run = use_library };

		confined_run(&c);
		CHECK(was_allowed(&c));
	}
}

TEST(abort_is_seen_as_abort)
{
	SKIP_IF_SANITIZED();
	for (unsigned kind = THREAD_VMM; kind <= THREAD_VCPU; kind++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = (enum thread_kind)kind,
				      .run = abort_now };

		confined_run(&c);
		CHECK(was_killed(&c, SIGABRT));
	}
}

TEST(report_is_one_exact_line)
{
	static const struct call call = { SYS_socket, { AF_UNIX, SOCK_STREAM } };
	struct confined c = {
		.iso = isolation_seccomp(), .kind = THREAD_VCPU, .run = make_call, .call = &call
	};
	char want[160];

	SKIP_IF_SANITIZED();
	snprintf(want, sizeof(want),
		 "Shutting down VM after intercepting a bad syscall (%d): `socket' by thread "
		 "`fc_vcpu 3' is not in its policy. exit_reason=bad-syscall\n",
		 SYS_socket);
	confined_run(&c);
	CHECK(strcmp(c.text, want) == 0);
}

TEST(number_without_a_name)
{
	static const struct call calls[] = {
		{ 400, { 0 } }, { 511, { 0 } }, { 512, { 0 } }, { 0x3fffffff, { 0 } }
	};

	SKIP_IF_SANITIZED();
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = THREAD_VMM,
				      .run = make_call,
				      .call = &calls[i] };

		confined_run(&c);
		CHECK(was_denied(&c) && strstr(c.text, "`unknown'"));
	}
}

TEST(x32_is_killed)
{
	static const struct call calls[] = { { 0x40000000 | SYS_getpid, { 0 } },
					     { 0x40000000 | SYS_write, { BAD_FD } },
					     { 0x40000000 | 512, { 0 } } };

	SKIP_IF_SANITIZED();
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		struct confined c = { .iso = isolation_seccomp(),
				      .kind = THREAD_VMM,
				      .run = make_call,
				      .call = &calls[i] };

		confined_run(&c);
		CHECK(was_killed(&c, SIGSYS));
		CHECK(c.text[0] == '\0');
	}
}

#ifdef __x86_64__ /* the other architecture of this one's kernels is i386 */
static void call_i386(const struct confined *c)
{
	long nr = 20; /* getpid there, writev here */

	(void)c;
	__asm__ volatile("int $0x80" : "+a"(nr) : : "memory", "r8", "r9", "r10", "r11");
}

TEST(foreign_architecture_is_killed)
{
	struct confined c = { .iso = isolation_none(), .kind = THREAD_VMM, .run = call_i386 };

	SKIP_IF_SANITIZED();
	confined_run(&c);
	if (!was_allowed(&c))
		SKIP("this kernel has no 32-bit calls");
	c.iso = isolation_seccomp();
	confined_run(&c);
	CHECK(was_killed(&c, SIGSYS));
}
#endif

static int seccomp_mode(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[128];
	int mode = -1;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	fclose(f);
	return mode;
}

static int go[2]; /* the confined thread waits for the end of this pipe's writer */
static pid_t confined_tid;

static void *wait_confined(void *arg)
{
	struct err e = { 0 };
	char c;

	(void)arg;
	confined_tid = gettid();
	CHECK_EQ(filter_install(THREAD_API, &e), 0);
	(void)!write(go[1], "x", 1);
	while (read(go[0], &c, 1) == 1 && c == 'x')
		(void)!write(go[1], &c, 1);
	return NULL;
}

TEST(other_threads_stay_free)
{
	struct err e = { 0 };
	char path[64], c;
	pthread_t id;

	SKIP_IF_SANITIZED();
	CHECK_EQ(filter_init(&e), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, go), 0);
	CHECK_EQ(pthread_create(&id, NULL, wait_confined, NULL), 0);
	CHECK_EQ(read(go[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", confined_tid);
	CHECK_EQ(seccomp_mode(path), 2);
	CHECK_EQ(seccomp_mode("/proc/thread-self/status"), 0);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_EQ(write(go[1], "q", 1), 1);
}

static void raise_sigsys(const struct confined *c)
{
	(void)c;
	kill(getpid(), SIGSYS);
	pause();
}

TEST(sigsys_from_outside)
{
	struct confined c = { .iso = isolation_none(), .kind = THREAD_VMM, .run = raise_sigsys };

	confined_run(&c);
	CHECK(WIFEXITED(c.status));
	CHECK_EQ(WEXITSTATUS(c.status), FILTER_EXIT);
	CHECK(strstr(c.text, "another process"));
}

/* Makes seccomp(2) fail as `code', as a container's filter or an old kernel does. */
static void forbid_seccomp(int code)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(insns), .filter = insns };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), 0);
}

TEST(install_error_names_reason_and_remedy)
{
	struct err e = { 0 };

	forbid_seccomp(EINVAL);
	CHECK_EQ(filter_install(THREAD_API, &e), -EINVAL);
	CHECK(strstr(e.msg, "`api'") && strstr(e.msg, "CONFIG_SECCOMP_FILTER") &&
	      strstr(e.msg, "--no-seccomp"));
}

TEST(install_error_of_a_container)
{
	struct err e = { 0 };

	forbid_seccomp(EPERM);
	CHECK_EQ(filter_install(THREAD_VMM, &e), -EPERM);
	CHECK(strstr(e.msg, "policy around this process") && strstr(e.msg, "--no-seccomp"));
}

TEST(none_changes_nothing)
{
	struct err e = { 0 };

	CHECK_EQ(isolation_none()->enter(isolation_none(), THREAD_VMM, &e), 0);
	CHECK_EQ(seccomp_mode("/proc/thread-self/status"), 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

TEST(injected_faults_are_errors)
{
#ifdef WISP_FAULTS
	struct err e = { 0 };

	fault_arm(0);
	CHECK(filter_init(&e) < 0 && e.msg[0]);
	e = (struct err){ 0 };
	fault_arm(0);
	CHECK(filter_install(THREAD_VCPU, &e) < 0 && e.msg[0]);
	CHECK_EQ(seccomp_mode("/proc/thread-self/status"), 0);
#else
	SKIP("built without faults");
#endif
}
