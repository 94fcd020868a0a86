/* SPDX-License-Identifier: Apache-2.0 */
#include "constants.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "jail/filter_file.h"

#define C(name)                          \
	{                                \
#name, (uint64_t)(name), \
	}

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
	/* the process itself, filled in when the program is installed */
	{ "SELF_PID", FILTER_SELF_PID },
	/* ioctl: virtual machine and vCPU */
	C(KVM_RUN),
	C(KVM_CHECK_EXTENSION),
	C(KVM_GET_MSR_INDEX_LIST),
	C(KVM_KVMCLOCK_CTRL),
	C(KVM_GET_CLOCK),
	C(KVM_SET_CLOCK),
	C(KVM_GET_REGS),
	C(KVM_SET_REGS),
	C(KVM_GET_SREGS),
	C(KVM_SET_SREGS),
	C(KVM_GET_SREGS2),
	C(KVM_SET_SREGS2),
	C(KVM_GET_FPU),
	C(KVM_SET_FPU),
	C(KVM_GET_LAPIC),
	C(KVM_SET_LAPIC),
	C(KVM_GET_XSAVE),
	C(KVM_GET_XSAVE2),
	C(KVM_SET_XSAVE),
	C(KVM_GET_XCRS),
	C(KVM_SET_XCRS),
	C(KVM_GET_MSRS),
	C(KVM_SET_MSRS),
	C(KVM_GET_DEBUGREGS),
	C(KVM_SET_DEBUGREGS),
	C(KVM_GET_MP_STATE),
	C(KVM_SET_MP_STATE),
	C(KVM_GET_VCPU_EVENTS),
	C(KVM_SET_VCPU_EVENTS),
	C(KVM_GET_CPUID2),
	C(KVM_SET_CPUID2),
	C(KVM_GET_TSC_KHZ),
	C(KVM_GET_DEVICE_ATTR),
	C(KVM_SET_TSC_KHZ),
	C(KVM_GET_IRQCHIP),
	C(KVM_SET_IRQCHIP),
	C(KVM_GET_PIT2),
	C(KVM_SET_PIT2),
	C(KVM_GET_DIRTY_LOG),
	C(KVM_CLEAR_DIRTY_LOG),
	C(KVM_SET_USER_MEMORY_REGION),
	C(KVM_SET_SIGNAL_MASK),
	C(KVM_SET_GUEST_DEBUG),
	C(KVM_CHECK_EXTENSION),
	C(KVM_IRQFD),
	C(KVM_IOEVENTFD),
	C(KVM_IRQ_LINE),
	C(KVM_SIGNAL_MSI),
	C(KVM_NMI),
	C(KVM_SMI),
	C(KVM_TRANSLATE),
	/* ioctl: files, terminals, taps */
	C(FIONBIO),
	C(FIONREAD),
	C(FIOCLEX),
	C(TCGETS),
	C(TCSETS),
	C(TCSETSW),
	C(TCSETSF),
	C(TIOCGWINSZ),
	C(BLKGETSIZE64),
	C(BLKSSZGET),
	C(BLKPBSZGET),
	C(BLKROGET),
	C(BLKDISCARD),
	C(BLKZEROOUT),
	C(TUNSETOFFLOAD),
	C(TUNSETVNETHDRSZ),
	C(TUNSETIFF),
	C(TUNGETIFF),
	/* mmap, mprotect, mremap, madvise */
	C(PROT_NONE),
	C(PROT_READ),
	C(PROT_WRITE),
	C(PROT_EXEC),
	C(MAP_SHARED),
	C(MAP_PRIVATE),
	C(MAP_FIXED),
	C(MAP_ANONYMOUS),
	C(MAP_NORESERVE),
	C(MAP_STACK),
	C(MAP_POPULATE),
	C(MAP_HUGETLB),
	C(MREMAP_MAYMOVE),
	C(MADV_DONTNEED),
	C(MADV_FREE),
	C(MADV_REMOVE),
	C(MADV_WILLNEED),
	C(MADV_DONTFORK),
	C(MADV_DONTDUMP),
	C(MADV_HUGEPAGE),
	C(MADV_NOHUGEPAGE),
	C(MADV_POPULATE_READ),
	C(MADV_POPULATE_WRITE),
	/* fcntl, openat, fallocate */
	C(F_GETFD),
	C(F_SETFD),
	C(F_GETFL),
	C(F_SETFL),
	C(F_DUPFD_CLOEXEC),
	C(F_SETLK),
	C(F_GETLK),
	C(F_OFD_SETLK),
	C(FD_CLOEXEC),
	C(O_ACCMODE),
	C(O_RDONLY),
	C(O_WRONLY),
	C(O_RDWR),
	C(O_CREAT),
	C(O_TRUNC),
	C(O_NONBLOCK),
	C(O_CLOEXEC),
	C(AT_FDCWD),
	C(FALLOC_FL_KEEP_SIZE),
	C(FALLOC_FL_PUNCH_HOLE),
	C(FALLOC_FL_ZERO_RANGE),
	/* sockets */
	C(AF_UNIX),
	C(SOCK_STREAM),
	C(SOCK_DGRAM),
	C(SOCK_SEQPACKET),
	C(SOCK_NONBLOCK),
	C(SOCK_CLOEXEC),
	C(SOL_SOCKET),
	C(SO_ERROR),
	C(SO_DOMAIN),
	C(SO_TYPE),
	C(SO_SNDBUF),
	C(SO_RCVBUF),
	C(SHUT_RD),
	C(SHUT_WR),
	C(SHUT_RDWR),
	C(MSG_NOSIGNAL),
	C(MSG_DONTWAIT),
	C(EPOLL_CTL_ADD),
	C(EPOLL_CTL_MOD),
	C(EPOLL_CTL_DEL),
	/* io_uring_register */
	C(IORING_REGISTER_FILES_UPDATE),
	C(IORING_REGISTER_FILES_UPDATE2),
	/* signals, futexes and the rest */
	C(SIGABRT),
	C(SIGKILL),
	C(SIGTERM),
	C(FUTEX_WAIT),
	C(FUTEX_WAKE),
	C(GRND_NONBLOCK),
	C(GRND_RANDOM),
	C(PR_GET_NAME),
	C(PR_SET_NAME),
	C(CLOCK_MONOTONIC),
	C(CLOCK_REALTIME),
	C(STDIN_FILENO),
	C(STDOUT_FILENO),
	C(STDERR_FILENO),
};

int constant_lookup(const char *name, uint64_t *ret_value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(constants); i++) {
		if (strcmp(name, constants[i].name) == 0) {
			*ret_value = constants[i].value;
			return 0;
		}
	}
	if (strcmp(name, "SIGRTMIN") == 0) { /* the C library's choice, known at run time only */
		*ret_value = (uint64_t)SIGRTMIN;
		return 0;
	}
	return -ENOENT;
}
