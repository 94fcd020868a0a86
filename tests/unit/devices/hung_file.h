/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file whose reads and writes wait for as long as the test wants, as on a server that does not
 * answer: of FUSE, which is needed with the right to mount. It cannot be asked not to
 * wait, and who waits is not interrupted. So its server is a process of its own: one that
 * died of a failed check could not end while somebody waits for it.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { HUNG_HELD = 256, HUNG_SIZE = 1 << 20, HUNG_SECONDS = 60, FUSE_BUF = 128 << 10 };

static int hung_file = -1;
static int hung_control = -1; /* a byte: answer from now on */
static pid_t hung_server;

/* --- the server ------------------------------------------------------------------ */

static int fuse_dev;
static struct held {
	struct fuse_in_header in;
	uint32_t size;
} held[HUNG_HELD];
static unsigned nheld;
static bool answers;

static void fuse_reply(const struct fuse_in_header *in, int error, const void *data, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len),
				       .error = error,
				       .unique = in->unique };
	const struct iovec iov[] = { { &out, sizeof(out) }, { (void *)(uintptr_t)data, len } };

	(void)!writev(fuse_dev, iov, len > 0 ? 2 : 1); /* who asked may be gone */
}

/* A read or a write. */
static void serve_data(const struct fuse_in_header *in, uint32_t size)
{
	static const uint8_t zeros[FUSE_BUF];
	const struct fuse_write_out written = { .size = size };

	if (!answers && nheld < HUNG_HELD)
		held[nheld++] = (struct held){ *in, size };
	else if (in->opcode == FUSE_READ)
		fuse_reply(in, 0, zeros, size);
	else
		fuse_reply(in, 0, &written, sizeof(written));
}

static void serve(const struct fuse_in_header *in, const void *arg)
{
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
					    .minor = 31,
					    .max_write = 4096 };
	const struct fuse_attr_out attr = {
		.attr = { .ino = 1, .mode = S_IFREG | 0600, .nlink = 1, .size = HUNG_SIZE }
	};
	const struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH };

	switch (in->opcode) {
	case FUSE_INIT:
		fuse_reply(in, 0, &init, sizeof(init));
		return;
	case FUSE_GETATTR:
		fuse_reply(in, 0, &attr, sizeof(attr));
		return;
	case FUSE_OPEN:
		fuse_reply(in, 0, &opened, sizeof(opened));
		return;
	case FUSE_READ:
		serve_data(in, ((const struct fuse_read_in *)arg)->size);
		return;
	case FUSE_WRITE:
		serve_data(in, ((const struct fuse_write_in *)arg)->size);
		return;
	case FUSE_FORGET: /* these want no answer */
	case FUSE_INTERRUPT:
		return;
	default:
		fuse_reply(in, -ENOSYS, NULL, 0);
	}
}

static void take_control(int control)
{
	char byte;

	if (read(control, &byte, 1) != 1)
		_exit(0);
	answers = true;
	for (unsigned i = 0; i < nheld; i++)
		serve_data(&held[i].in, held[i].size);
	nheld = 0;
}

/* Until nobody has the file any more, or the test has ended, or has hung itself. */
static void serve_all(int control)
{
	static _Alignas(struct fuse_in_header) uint8_t buf[FUSE_BUF];
	struct pollfd fds[] = { { .fd = fuse_dev, .events = POLLIN },
				{ .fd = control, .events = POLLIN } };

	alarm(HUNG_SECONDS);
	for (;;) {
		ssize_t n = 0;

		(void)!poll(fds, 2, -1);
		if (fds[1].revents)
			take_control(control);
		if (fds[0].revents)
			n = read(fuse_dev, buf, sizeof(buf));
		if (n > 0)
			serve((const struct fuse_in_header *)buf,
			      buf + sizeof(struct fuse_in_header));
		else if (n < 0 && errno == ENODEV)
			_exit(0);
	}
}

/* --- the test -------------------------------------------------------------------- */

/* At the path, which is a file, for this process alone; false: it may not. */
static bool mount_hung(const char *path)
{
	char options[64];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	fuse_dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", fuse_dev);
	return fuse_dev >= 0 && mount("wisp", path, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
}

/* Before the test has a ring: the server would have it too. */
static void hung_open(void)
{
	char path[] = "/tmp/wisp-hung-XXXXXX";
	struct stat st;
	int place = mkstemp(path), control[2];
	bool mounted = mount_hung(path);

	CHECK_EQ(pipe2(control, O_CLOEXEC), 0);
	hung_server = mounted ? fork() : -1;
	if (hung_server == 0) {
		close(control[1]);
		serve_all(control[0]);
	}
	close(fuse_dev);
	close(control[0]);
	if (mounted) {
		hung_file = open(path, O_RDWR | O_CLOEXEC);
		CHECK_EQ(umount2(path, MNT_DETACH), 0);
	}
	CHECK_EQ(close(place) + unlink(path), 0);
	if (!mounted)
		SKIP("this user may not mount FUSE");
	CHECK(hung_file >= 0);
	CHECK_EQ(fstat(hung_file, &st), 0); /* so that the kernel asks for the size */
	CHECK_EQ(st.st_size, HUNG_SIZE);
	hung_control = control[1];
}

static void hung_answer(void)
{
	CHECK_EQ(write(hung_control, "", 1), 1);
}

static void hung_close(void)
{
	int status;

	CHECK_EQ(close(hung_file), 0);
	CHECK_EQ(close(hung_control), 0);
	CHECK_EQ(waitpid(hung_server, &status, 0), hung_server);
	CHECK_EQ(status, 0);
}
