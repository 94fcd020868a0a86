/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors handed over by name: inherited, and sent to the socket. */
#include "vmm/handed.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "conf/expect.h"
#include "descriptors.h"

static struct handed h;
static struct loop loop;
static char path[100];

/* --fd `before'fd`after' */
static int inherit(const char *before, int fd, const char *after, struct err *e)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%d%s", before, fd, after);
	*e = (struct err){ 0 };
	return handed_inherit(&h, text, e);
}

TEST(inherited)
{
	int fd = dup(0), other = dup(0);
	struct err e;

	handed_init(&h);
	CHECK_EQ(inherit("tap_0=", fd, "", &e), 0);
	CHECK_EQ(handed_find(&h, "tap_0"), fd);
	CHECK_EQ(handed_find(&h, "tap_1"), -1);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(inherit("tap_0=", other, "", &e), -EEXIST);
	CHECK(strstr(e.msg, "tap_0") && strstr(e.msg, "twice"));
	CHECK_EQ(inherit("b=", fd, "", &e), -EEXIST);
	CHECK(strstr(e.msg, "`tap_0' already"));
	CHECK(strcmp(handed_name_of(&h, fd), "tap_0") == 0);
	CHECK(!handed_name_of(&h, other));
	CHECK_EQ(inherit("b=", 2, "", &e), -EINVAL);
	CHECK_EQ(inherit("b=", 999, "", &e), -EBADF);
	CHECK_EQ(inherit("b=", other, "x", &e), -EINVAL);
	CHECK_EQ(inherit("b=-", other, "", &e), -EINVAL);
	CHECK_EQ(inherit("b=9999999999", other, "", &e), -EINVAL);
	CHECK_EQ(handed_inherit(&h, "b=", &e), -EINVAL);
	CHECK_EQ(handed_inherit(&h, "b", &e), -EINVAL);
	CHECK_EQ(inherit("=", other, "", &e), -EINVAL);
	CHECK_EQ(inherit("a-b=", other, "", &e), -EINVAL);
	CHECK_EQ(inherit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=",
			 other, "", &e),
		 -EINVAL);
	handed_close(&h);
	CHECK_EQ(handed_find(&h, "tap_0"), -1);
	CHECK_EQ(fcntl(fd, F_GETFD), -1);
	CHECK(fcntl(other, F_GETFD) >= 0);
	handed_close(&h);
}

TEST(as_many_as_there_is_room)
{
	unsigned before = open_descriptors();
	struct err e = { 0 };
	char name[20];

	handed_init(&h);
	for (int i = 0; i < HANDED_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		CHECK_EQ(handed_add(&h, name, dup(0), &e), 0);
	}
	CHECK_EQ(handed_add(&h, "one_more", 0, &e), -ENOSPC);
	CHECK_EQ(handed_add(&h, "n3", dup(0), &e), 0);
	CHECK_EQ(open_descriptors(), before + HANDED_MAX);
	handed_close(&h);
	CHECK_EQ(open_descriptors(), before);
}

/* --- the socket --------------------------------------------------------------------- */

static void begin(void)
{
	struct err e = { 0 };

	snprintf(path, sizeof(path), "/tmp/wisp-test-handed.%d", getpid());
	unlink(path);
	CHECK_EQ(loop_init(&loop), 0);
	handed_init(&h);
	CHECK_EQ(handed_listen(&h, path, &loop, &e), 0);
}

static int client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, path, strlen(path));
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Sends a message with `n' duplicates of `fd'; the answer. */
static const char *hand(int to, const char *name, size_t len, int fd, unsigned n)
{
	static char answer[400];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)name, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t got;

	if (n > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (unsigned i = 0; i < n; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	CHECK_EQ(sendmsg(to, &msg, 0), (ssize_t)len);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
	got = recv(to, answer, sizeof(answer) - 1, 0);
	answer[got > 0 ? got : 0] = '\0';
	return answer;
}

#define BAD_MESSAGE "a message must be a name and one descriptor"

TEST(sent_to_the_socket)
{
	int c, fd = open("/dev/null", O_RDWR);
	struct stat sent, got;
	unsigned before;

	begin();
	CHECK_EQ(stat(path, &got), 0);
	CHECK_EQ(got.st_mode & 0777, 0700);
	c = client();
	expect_msg("first", hand(c, "tap", 3, fd, 1), "OK");
	CHECK_EQ(fstat(fd, &sent), 0);
	CHECK_EQ(fstat(handed_find(&h, "tap"), &got), 0);
	CHECK_EQ(sent.st_rdev, got.st_rdev);
	CHECK(fcntl(handed_find(&h, "tap"), F_GETFD) & FD_CLOEXEC);
	before = open_descriptors();
	expect_msg("again", hand(c, "tap", 3, fd, 1), "OK"); /* replaces */
	expect_msg("none", hand(c, "tap", 3, fd, 0), BAD_MESSAGE);
	expect_msg("two", hand(c, "tap", 3, fd, 2), BAD_MESSAGE);
	expect_msg("more than are taken", hand(c, "tap", 3, fd, 16), BAD_MESSAGE);
	expect_msg("empty", hand(c, "\0", 1, fd, 1), BAD_MESSAGE);
	expect_msg("nothing", hand(c, "", 0, fd, 1), "The ID cannot be empty*");
	expect_msg("NUL", hand(c, "a\0b", 3, fd, 1), BAD_MESSAGE);
	expect_msg("bad name", hand(c, "a/b", 3, fd, 1), "API Resource IDs*");
	expect_msg("long",
		   hand(c, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			68, fd, 1),
		   "API Resource IDs can have*");
	CHECK_EQ(open_descriptors(), before);
	close(c);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	/* One after the other, as many as like. */
	for (unsigned i = 0; i < 3 * HANDED_CLIENTS_MAX; i++) {
		c = client();
		expect_msg("in turn", hand(c, "tap", 3, fd, 1), "OK");
		close(c);
		CHECK_EQ(loop_turn(&loop, 0), 0);
	}
	handed_close(&h);
	CHECK_EQ(stat(path, &got), -1);
	CHECK_EQ(open_descriptors(), before - 4); /* ours, the listener, both ends of c */
	loop_fini(&loop);
}

TEST(more_clients_than_it_takes)
{
	int c[HANDED_CLIENTS_MAX + 1];
	char byte;

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = client();
		CHECK_EQ(loop_turn(&loop, 0), 0);
	}
	CHECK_EQ(recv(c[HANDED_CLIENTS_MAX], &byte, 1, 0), 0);
	expect_msg("the first", hand(c[0], "tap", 3, 0, 1), "OK");
	handed_close(&h); /* with clients that are still there */
	CHECK_EQ(recv(c[0], &byte, 1, 0), 0);
	loop_fini(&loop);
}

TEST(no_descriptor_left)
{
	usec_t begun = clock_monotonic();
	struct rlimit had, few;
	int c, last;

	begin();
	c = client();
	last = dup(0);
	close(last);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &had), 0);
	few = had;
	few.rlim_cur = (rlim_t)last;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	/* The loop sleeps, though the client waits. */
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	CHECK(clock_monotonic() >= begun + 100 * USEC_PER_MSEC);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &had), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	expect_msg("then", hand(c, "tap", 3, 0, 1), "OK");
	/* And nothing is left behind when it rests. */
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	close(c);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	handed_close(&h);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &had), 0);
	loop_fini(&loop);
}

TEST(paths_that_cannot_be)
{
	char too_long[200];
	struct err e = { 0 };

	memset(too_long, 'x', sizeof(too_long));
	too_long[108] = '\0';
	CHECK_EQ(loop_init(&loop), 0);
	handed_init(&h);
	CHECK_EQ(handed_listen(&h, "", &loop, &e), -EINVAL);
	CHECK_EQ(handed_listen(&h, too_long, &loop, &e), -EINVAL);
	CHECK_EQ(handed_listen(&h, "/nonexistent/x", &loop, &e), -ENOENT);
	CHECK(strstr(e.msg, "/nonexistent/x"));
	CHECK_EQ(handed_listen(&h, "/dev/null", &loop, &e), -EADDRINUSE);
	CHECK(strstr(e.msg, "remove it"));
	handed_close(&h);
	loop_fini(&loop);
}

TEST(listening_under_faults)
{
	if (!faults_work())
		SKIP("built without WISP_FAULTS");
	for (unsigned n = 0;; n++) {
		struct err e = { 0 };
		struct stat st;
		int r;

		snprintf(path, sizeof(path), "/tmp/wisp-test-handed.%d", getpid());
		CHECK_EQ(loop_init(&loop), 0);
		handed_init(&h);
		fault_arm(n);
		r = handed_listen(&h, path, &loop, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		handed_close(&h);
		loop_fini(&loop);
		CHECK_EQ(stat(path, &st), -1);
		if (r == 0) {
			CHECK_EQ(n, 3);
			return;
		}
		CHECK(strstr(e.msg, "--fd-sock"));
	}
}
