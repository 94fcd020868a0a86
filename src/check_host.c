/* SPDX-License-Identifier: Apache-2.0 */
#include "check_host.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "vmm/x86/probe.h"

enum verdict { OK, WARN, FAIL };

/* How many lines of each there were. */
static unsigned said[FAIL + 1];

static void printf_like(3, 4) say(enum verdict v, const char *object, const char *fmt, ...)
{
	static const char *const words[] = { [OK] = "ok", [WARN] = "warn", [FAIL] = "FAIL" };
	va_list ap;

	said[v]++;
	printf("%-4s  %s: ", words[v], object);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* The first line of a file without its end; empty when there is none. */
static const char *line_of(const char *path, char *buf, int size)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(buf, size, f))
		buf[0] = '\0';
	if (f)
		(void)fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

static unsigned long number_of(const char *path)
{
	char buf[32];

	return strtoul(line_of(path, buf, sizeof(buf)), NULL, 10);
}

/* Does a line of the file hold both texts? */
static bool has_line(const char *path, const char *one, const char *other)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[1024];

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, one) && strstr(line, other);
	if (f)
		(void)fclose(f);
	return found;
}

/* --- what a microVM cannot do without ----------------------------------------- */

/* Version of Linux as two numbers; false: it cannot be read. */
static bool kernel_version(struct utsname *u, unsigned *major, unsigned *minor)
{
	return uname(u) == 0 && sscanf(u->release, "%u.%u", major, minor) == 2;
}

static bool kernel_is_before(unsigned major, unsigned minor)
{
	struct utsname u;
	unsigned a, b;

	return kernel_version(&u, &a, &b) && (a < major || (a == major && b < minor));
}

static void check_kernel(void)
{
	struct utsname u;
	unsigned major, minor;

	if (!kernel_version(&u, &major, &minor))
		say(WARN, "host kernel",
		    "its release cannot be read; nothing is known about it; "
		    "see uname -r");
	else if (kernel_is_before(6, 1))
		say(WARN, "host kernel",
		    "%s; wisp is made for Linux 6.1 and later, and tested with nothing older; "
		    "update it",
		    u.release);
	else
		say(OK, "host kernel", "%s", u.release);
}

static void check_slowness(const struct probe_result *res)
{
	if (res->cannot)
		say(FAIL, "/dev/kvm",
		    "kernel-mode guest code is interpreted, and the interpreter cannot do %s; "
		    "Linux will not boot; use a host whose processor virtualises, or enable "
		    "nested virtualisation in the hypervisor around this one",
		    res->cannot);
	else if (res->slowdown > PROBE_INTERPRETED)
		say(FAIL, "/dev/kvm",
		    "kernel-mode guest code is interpreted, %u times slower than it should be; "
		    "Linux will not boot in useful time; use a host whose processor virtualises, "
		    "or enable nested virtualisation in the hypervisor around this one",
		    res->slowdown);
	else
		say(OK, "/dev/kvm", "a guest ran in 64-bit kernel mode");
	if (res->nested)
		say(WARN, "nesting",
		    "this host is itself a virtual machine; every exit of a guest costs several "
		    "times as much, and boots are slower; use bare metal where that counts");
	else
		say(OK, "nesting", "this host is not a virtual machine");
}

static void check_kvm(void)
{
	struct probe_result res;
	struct err e = { 0 };

	if (probe_kvm(&res, &e) == 0) {
		check_slowness(&res);
		return;
	}
	if (strncmp(e.msg, "/dev/kvm: ", 10) == 0)
		memmove(e.msg, e.msg + 10, strlen(e.msg + 10) + 1);
	say(FAIL, "/dev/kvm", "no microVM can be made; %s", e.msg);
	if (!probe_has_virtualisation())
		say(FAIL, "processor",
		    "it shows neither VMX nor SVM; KVM needs one of them; enable virtualisation in "
		    "the firmware, or nested virtualisation in the hypervisor around this host");
}

static void check_seccomp(void)
{
	unsigned action = SECCOMP_RET_TRAP;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		say(OK, "seccomp", "filters can be installed");
	else
		say(FAIL, "seccomp",
		    "%s; wisp confines each thread by a filter and does not start without; use a "
		    "kernel with CONFIG_SECCOMP_FILTER, or --no-seccomp for debugging",
		    strerror(errno));
}

/* --- what some features need --------------------------------------------------- */

static void io_uring_denied(void)
{
	static const char *const matters = "drives with io_engine Async are refused (Sync works)";
	unsigned long off = number_of("/proc/sys/kernel/io_uring_disabled");

	if (off >= 2)
		say(WARN, "io_uring",
		    "kernel.io_uring_disabled is %lu: nobody may use it; %s; sysctl "
		    "kernel.io_uring_disabled=0",
		    off, matters);
	else if (off == 1)
		say(WARN, "io_uring",
		    "kernel.io_uring_disabled is 1: only members of kernel.io_uring_group and "
		    "processes with CAP_SYS_ADMIN may use it; %s; add the user to that group",
		    matters);
	else
		say(WARN, "io_uring",
		    "a policy around this process forbids it; %s; allow io_uring_setup, "
		    "io_uring_enter and io_uring_register in the container's seccomp profile",
		    matters);
}

static void check_io_uring(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	if (fd >= 0)
		say(OK, "io_uring", "a ring can be made");
	else if (errno == EPERM || errno == EACCES)
		io_uring_denied();
	else
		say(WARN, "io_uring",
		    "%s; drives with io_engine Async are refused (Sync works); use a kernel with "
		    "CONFIG_IO_URING",
		    strerror(errno));
	fd_close_(&fd);
}

static void check_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		say(OK, "userfaultfd", "page faults can be served by a program");
	else if (device >= 0)
		say(OK, "userfaultfd",
		    "page faults can be served by a program, by way of "
		    "/dev/userfaultfd");
	else
		say(WARN, "userfaultfd",
		    "it is refused; snapshots with the memory backend Uffd cannot be loaded; give "
		    "the user access to /dev/userfaultfd, or sysctl "
		    "vm.unprivileged_userfaultfd=1");
	fd_close_(&fd);
	fd_close_(&device);
}

static void check_cgroups(void)
{
	struct statfs fs;

	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		say(OK, "cgroups", "version 2");
	else if (has_line("/proc/self/mounts", " cgroup ", "memory"))
		say(OK, "cgroups", "version 1");
	else
		say(WARN, "cgroups",
		    "none are mounted; the jailer cannot limit a microVM's memory and processor "
		    "time; mount -t cgroup2 cgroup2 /sys/fs/cgroup");
}

static void check_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		say(OK, "/dev/net/tun", "taps can be opened");
	else
		say(WARN, "/dev/net/tun", "%s; network interfaces by host_dev_name are refused; %s",
		    strerror(errno),
		    errno == EACCES || errno == EPERM
			    ? "give the user access, or hand over taps by descriptor"
			    : "modprobe tun");
	fd_close_(&fd);
}

static void check_huge_pages(void)
{
	static const char *const pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
	char all[96], unused[96];

	snprintf(all, sizeof(all), "%snr_hugepages", pool);
	snprintf(unused, sizeof(unused), "%sfree_hugepages", pool);
	if (number_of(all) > 0)
		say(OK, "huge pages", "%lu of %lu pages of 2 MiB are free", number_of(unused),
		    number_of(all));
	else
		say(WARN, "huge pages",
		    "the pool of 2 MiB pages is empty; machines with huge_pages 2M are refused; "
		    "sysctl vm.nr_hugepages=N, one for each 2 MiB of their memory");
}

static void check_transparent_pages(void)
{
	char value[64];

	line_of("/sys/kernel/mm/transparent_hugepage/enabled", value, sizeof(value));
	if (value[0] && !strstr(value, "[never]"))
		say(OK, "transparent huge pages", "%s", value);
	else
		say(WARN, "transparent huge pages",
		    "the kernel %s; huge_pages Transparent is accepted and changes nothing; %s",
		    value[0] ? "never makes any" : "has none",
		    value[0] ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
			     : "use one with CONFIG_TRANSPARENT_HUGEPAGE, or huge_pages 2M");
}

static void check_user_namespaces(void)
{
	pid_t child;
	int status = 0;

	(void)fflush(stdout); /* the child must not print it again */
	child = fork();
	if (child == 0)
		_exit(unshare(CLONE_NEWUSER) < 0);
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		say(OK, "user namespaces", "they can be made");
	else
		say(WARN, "user namespaces",
		    "they are refused; a jail needs root then; raise user.max_user_namespaces, and "
		    "look at kernel.unprivileged_userns_clone and "
		    "kernel.apparmor_restrict_unprivileged_userns");
}

/* --- what makes it slow or weak ------------------------------------------------- */

static void check_clock(void)
{
	char name[32];

	line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource", name,
		sizeof(name));
	if (strcmp(name, "tsc") == 0)
		say(OK, "clock", "tsc");
	else
		say(WARN, "clock",
		    "the host's clock source is `%s', not tsc; guests have no KVM PTP clock, and "
		    "reading the time costs them more; find out by `dmesg | grep -i tsc' why the "
		    "host distrusts it",
		    name);
}

static void check_nx_huge_pages(void)
{
	char value[16];

	line_of("/sys/module/kvm/parameters/nx_huge_pages", value, sizeof(value));
	if (!value[0] || strcmp(value, "never") == 0)
		say(OK, "kvm.nx_huge_pages", "%s", value[0] ? value : "not there");
	else if (!kernel_is_before(6, 13)) /* the thread begins where it belongs */
		say(OK, "kvm.nx_huge_pages", "%s, which costs nothing since Linux 6.13", value);
	else if (has_line("/proc/self/mounts", " cgroup", "favordynmods"))
		say(OK, "kvm.nx_huge_pages", "%s, and cgroups are mounted with favordynmods",
		    value);
	else
		say(WARN, "kvm.nx_huge_pages",
		    "it is %s and cgroups are not mounted with favordynmods; each microVM's "
		    "recovery thread is moved between cgroups while it is made, which takes "
		    "milliseconds; remount them with it, or set "
		    "kvm.nx_huge_pages=never where the processor has no ITLB multihit",
		    value);
}

static void check_neighbours(void)
{
	if (number_of("/sys/devices/system/cpu/smt/active"))
		say(WARN, "SMT",
		    "it is on; a guest may watch another through the core they share; switch it "
		    "off (/sys/devices/system/cpu/smt/control), or start wisp with --core-sched");
	else
		say(OK, "SMT", "off");
	if (number_of("/sys/kernel/mm/ksm/run") == 1)
		say(WARN, "KSM",
		    "it is on; merged pages tell one guest what another has in memory; echo 2 > "
		    "/sys/kernel/mm/ksm/run");
	else
		say(OK, "KSM", "off");
	if (has_line("/proc/swaps", "/", ""))
		say(WARN, "swap",
		    "it is on; guests' memory may reach a disk and stay there, and latency varies; "
		    "swapoff -a, or memory.swap.max=0 in the microVMs' cgroup");
	else
		say(OK, "swap", "off");
}

/*
 * The kernel's word on a fault: whole, or on a part of it, as in `KVM: Vulnerable' and
 * `Mitigation: ...; BHI: Vulnerable'. `SMT vulnerable' is told of by the line of SMT.
 */
static bool is_unmitigated(const char *state)
{
	return strstr(state, "Vulnerable") || strstr(state, "VMX: vulnerable");
}

/* Names of the processor's known faults that the kernel does nothing about. */
static void check_vulnerabilities(void)
{
	static const char *const path = "/sys/devices/system/cpu/vulnerabilities";
	DIR *dir = opendir(path);
	char names[256] = "", file[512], state[256];
	size_t len = 0;

	for (struct dirent *d; dir && (d = readdir(dir));) {
		snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		if (is_unmitigated(line_of(file, state, sizeof(state))) && len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", d->d_name);
	}
	if (dir)
		(void)closedir(dir);
	if (names[0])
		say(WARN, "processor faults",
		    "not mitigated:%s; a guest may read memory that is not its own; update "
		    "microcode and kernel, and see mitigations= on the host's command line",
		    names);
	else
		say(OK, "processor faults", "none that the kernel reports as unmitigated");
}

int check_host(void)
{
	check_kernel();
	check_kvm();
	check_seccomp();
	check_io_uring();
	check_userfaultfd();
	check_cgroups();
	check_tun();
	check_huge_pages();
	check_transparent_pages();
	check_user_namespaces();
	check_clock();
	check_nx_huge_pages();
	check_neighbours();
	check_vulnerabilities();
	printf(said[FAIL] > 0 ? "No microVM can run on this host.\n"
			      : "MicroVMs can run on this host.\n");
	return said[FAIL] > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
