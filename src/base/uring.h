/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An io_uring that belongs to one loop, and can do little: read, write, sync and
 * allocate in files that were put into its table, and cancel that.
 *
 * Seccomp sees none of what a ring does. So the ring is restricted by the kernel
 * when it is made: the five operations above, on files of the table only, and of
 * the registering calls only the one that changes the table. Afterwards the filter
 * can deny io_uring_setup for ever, and a captured thread has nothing to win here.
 *
 * Operations are embedded in their owners and completed by a callback of the loop.
 * What a turn of the loop starts is submitted by one system call at its end. Guest
 * memory is never registered with the ring.
 *
 * A ring for chains is the other kind: no loop knows of it, and one call submits what
 * was started and returns when all of it has ended. Writing is all that it can do, to
 * any descriptor: that is no more than write(), which the filters let through. It has
 * no table, because the kernel closes a table's files some time after the process has
 * ended, and a tap must be free for the next one at once.
 *
 * All functions are for the loop's thread.
 */
#pragma once

#include <sys/uio.h>

#include "base/err.h"
#include "base/loop.h"

struct uring;

struct uring_op;
/* `res' as the kernel gives it: bytes or 0, or -errno. -ECANCELED after a cancel. */
typedef void (*uring_fn)(struct uring_op *op, int res);

struct uring_op { /* embedded; the ring's from its start to its callback */
	uring_fn done;
	/*
	 * Never begun on the loop's thread, but by one of the kernel's: for files that cannot be
	 * asked not to wait (without RWF_NOWAIT). The kernel begins those of some file systems
	 * right away (of FUSE, which can be polled, in 6.18), and who submitted waits for them.
	 */
	bool waits;
};

struct uring_cfg {
	unsigned depth; /* operations that are in flight at most; cancels come on top */
	unsigned files; /* slots of the table; 0 for chains */
	/*
	 * The kernel's threads for what would wait, at most, in each of its two pools; 0 for
	 * chains, which never do. They are the calling thread's: the newest ring that asks for
	 * some decides for all.
	 */
	unsigned workers;
	bool chains; /* for uring_chain() and uring_finish() alone */
};

/*
 * Made, restricted, enabled and added to the loop, which is NULL for chains. The error
 * names what the host denies and the remedy; -ENOSYS, -EPERM and -ENOMEM are the usual
 * ones.
 */
must_check int uring_create(const struct uring_cfg *cfg, struct loop *loop, struct uring **ret_ring,
			    struct err *e);

/* Nothing may be in flight: closing a ring does not end what runs. NULL is fine. */
void uring_destroy(struct uring *ring);

/* Puts a file into a slot (the caller keeps its descriptor), or -1 to empty it. */
must_check int uring_set_file(struct uring *ring, unsigned slot, int fd);

/* Started and not called back. */
must_check unsigned uring_inflight(const struct uring *ring);

/*
 * Each starts one operation on the file of a slot. Never fails: the caller keeps to
 * its depth. The iovec array stays as it is until the callback.
 */
void uring_readv(struct uring *ring, struct uring_op *op, unsigned slot, const struct iovec *iov,
		 unsigned niov, uint64_t off);
void uring_writev(struct uring *ring, struct uring_op *op, unsigned slot, const struct iovec *iov,
		  unsigned niov, uint64_t off);
void uring_fdatasync(struct uring *ring, struct uring_op *op, unsigned slot);
void uring_fallocate(struct uring *ring, struct uring_op *op, unsigned slot, int mode, uint64_t off,
		     uint64_t len);

/*
 * Asks the kernel to end an operation early. Its callback comes in any case, with
 * -ECANCELED if the cancel was in time. Once for each operation; left out while the
 * kernel has not taken as many cancels as the ring is deep.
 */
void uring_cancel(struct uring *ring, struct uring_op *op);

/*
 * The next write of the chain that uring_finish() ends, to a file that knows neither
 * position nor short writes, as taps and packets do. It does not wait (-EAGAIN), and is
 * not begun (-ECANCELED) when one before it in the chain has failed. Linux 6.4 and later:
 * before it, taps and sockets refuse not to wait (-EOPNOTSUPP).
 */
void uring_chain(struct uring *ring, struct uring_op *op, int fd, const struct iovec *iov,
		 unsigned niov);

/*
 * Submits the chain and calls back for all of it, in any order, before it returns. What
 * the kernel could not take is -ECANCELED too, so this never fails. Callbacks start nothing.
 */
void uring_finish(struct uring *ring);

/*
 * Tries an operation code as a captured thread might, on an empty slot or on a plain
 * descriptor, and gives its result: -EACCES when the ring refuses it. Nothing is in
 * flight. For tests.
 */
must_check int uring_try(struct uring *ring, uint8_t opcode, bool fixed_file);
