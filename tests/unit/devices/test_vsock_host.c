/* SPDX-License-Identifier: Apache-2.0 */
/* The Unix sockets of the socket device: listening, dialling, the CONNECT line. */
#include <fcntl.h>

#include "vsock_rig.h"

static struct err e;

static int listen_at(const char *path, struct vsock_listener *l)
{
	e = (struct err){ 0 };
	return vsock_listen(path, l, &e);
}

static void expect_error(const char *path, int code, const char *words)
{
	struct vsock_listener l;

	CHECK_EQ(listen_at(path, &l), code);
	CHECK(strstr(e.msg, path) != NULL);
	if (!strstr(e.msg, words))
		fprintf(stderr, "# %s\n", e.msg);
	CHECK(strstr(e.msg, words) != NULL);
}

TEST(lines)
{
	static const struct {
		const char *line;
		int r;
		uint32_t port;
	} rows[] = {
		{ "CONNECT 52\n", 0, 52 },
		{ "connect 0\n", 0, 0 },
		{ "CoNnEcT 4294967295\n", 0, UINT32_MAX },
		{ "CONNECT 4294967296\n", -EINVAL, 0 },
		{ "CONNECT 99999999999999999999\n", -EINVAL, 0 },
		{ "CONNECT 00000000000000000052\n", 0, 52 },
		{ "  CONNECT\t 52 \r\n", 0, 52 },
		{ "CONNECT 52 and more\n", 0, 52 },
		{ "CONNECT +52\n", 0, 52 },
		{ "CONNECT +\n", -EINVAL, 0 },
		{ "CONNECT -1\n", -EINVAL, 0 },
		{ "CONNECT 0x34\n", -EINVAL, 0 },
		{ "CONNECT 5a\n", -EINVAL, 0 },
		{ "CONNECT52\n", -EINVAL, 0 },
		{ "CONNECT \n", -EINVAL, 0 },
		{ "CONNECT\n", -EINVAL, 0 },
		{ "CONNEC 52\n", -EINVAL, 0 },
		{ "CONNECTS 52\n", -EINVAL, 0 },
		{ "52\n", -EINVAL, 0 },
		{ "\n", -EINVAL, 0 },
		{ " ", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t port = 0;

		CHECK_EQ(vsock_parse_connect(rows[i].line, strlen(rows[i].line), &port), rows[i].r);
		CHECK_EQ(port, rows[i].port);
	}
	CHECK_EQ(vsock_parse_connect("CONNECT \0002\n", 11, &(uint32_t){ 0 }), -EINVAL);
}

TEST(a_line_and_not_a_byte_more)
{
	static const char full[] = "CONNECT 1                      \nrest"; /* 32 and 4 */
	uint32_t port = 0;
	char rest[16];
	int s[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	CHECK_EQ(vsock_greet(s[0], &port), 0);
	host_write(s[1], full, 31);
	CHECK_EQ(vsock_greet(s[0], &port), 0);
	host_write(s[1], full + 31, 5);
	CHECK_EQ(vsock_greet(s[0], &port), 1);
	CHECK_EQ(port, 1);
	CHECK_EQ(host_read(s[0], rest, sizeof(rest)), 4);
	CHECK_EQ(memcmp(rest, "rest", 4), 0);
	/* 33 bytes are none. */
	host_write(s[1], "CONNECT 1                       \n", 33);
	CHECK_EQ(vsock_greet(s[0], &port), -EMSGSIZE);
	close(s[0]);
	close(s[1]);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	close(s[1]);
	CHECK_EQ(vsock_greet(s[0], &port), -ENODATA);
	close(s[0]);
}

TEST(what_cannot_be_listened_on)
{
	struct vsock_listener l;
	char path[128];

	make_folder();
	snprintf(path, sizeof(path), "%s/none/v", folder);
	expect_error(path, -ENOENT, "No such file or directory (os error 2)");
	expect_error(folder, -EADDRINUSE, "the file exists: choose another path");
	CHECK_EQ(listen_at(uds, &l), 0);
	expect_error(uds, -EADDRINUSE, "the file exists: choose another path");
	/* What a process that was killed leaves behind. */
	close(l.fd);
	expect_error(uds, -EADDRINUSE, "nobody listens on it: remove the file");
	unlink(uds);
	memset(path, 'x', sizeof(path));
	path[107] = '\0';
	memcpy(path, folder, strlen(folder));
	path[strlen(folder)] = '/';
	CHECK_EQ(listen_at(path, &l), 0);
	vsock_unlisten(&l);
	path[107] = 'x';
	path[108] = '\0';
	CHECK_EQ(listen_at(path, &l), -ENAMETOOLONG);
	CHECK_EQ(listen_at("", &l), -ENAMETOOLONG);
	remove_folder();
}

TEST(only_our_own_socket_is_removed)
{
	struct vsock_listener first, second;

	make_folder();
	CHECK_EQ(listen_at(uds, &first), 0);
	CHECK(vsock_listener_there(&first));
	CHECK_EQ(fcntl(first.fd, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(first.fd, F_GETFL) & O_NONBLOCK);
	unlink(uds);
	CHECK(!vsock_listener_there(&first));
	CHECK_EQ(listen_at(uds, &second), 0);
	vsock_unlisten(&first);
	CHECK_EQ(first.fd, -1);
	CHECK(vsock_listener_there(&second));
	vsock_unlisten(&first);
	vsock_unlisten(&second);
	CHECK_EQ(access(uds, F_OK), -1);
	remove_folder();
}

TEST(dialling)
{
	char got[8];
	int server, fd, peer;
	char longest[108];

	make_folder();
	CHECK_EQ(vsock_dial(uds, 5), -ENOENT);
	server = host_listen(5);
	fd = vsock_dial(uds, 5);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	peer = accept(server, NULL, NULL);
	host_write(peer, "hi", 2);
	CHECK_EQ(host_read(fd, got, sizeof(got)), 2);
	close(peer);
	close(server);
	CHECK_EQ(vsock_dial(uds, 5), -ECONNREFUSED);
	memset(longest, 'x', sizeof(longest));
	longest[105] = '\0'; /* "_5" just fits; "_55" does not */
	CHECK_EQ(vsock_dial(longest, 5), -ENOENT);
	CHECK_EQ(vsock_dial(longest, 55), -ENAMETOOLONG);
	close(fd);
	remove_folder();
}

TEST(a_server_whose_queue_is_full)
{
	static int fds[512];
	int r = 0, server;
	unsigned n = 0;

	make_folder();
	server = host_listen(5);
	while (n < ARRAY_SIZE(fds) && (r = vsock_dial(uds, 5)) >= 0)
		fds[n++] = r;
	CHECK_EQ(r, -EAGAIN);
	CHECK(n >= 128);
	close(server);
	remove_folder();
}

TEST(listening_under_faults)
{
	struct vsock_listener l;

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	make_folder();
	for (unsigned n = 0;; n++) {
		int r;

		fault_arm(n);
		r = listen_at(uds, &l);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK_EQ(n, 3);
			break;
		}
		CHECK(strstr(e.msg, uds) != NULL);
		CHECK_EQ(access(uds, F_OK), -1);
	}
	vsock_unlisten(&l);
	remove_folder();
}
