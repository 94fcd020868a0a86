/* SPDX-License-Identifier: Apache-2.0 */
/* The console's socket, with a serial port behind it and clients of every kind. */
#include "devices/console.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fault.h"
#include "port.h"

enum { THR = 0, RBR = 0, LSR = 5, LSR_DATA_READY = 1 };

static struct loop loop;
static struct console *console;
static struct serial *serial;
static struct irq irq;
static struct err err;
static char path[64];

static void remove_socket(void)
{
	(void)unlink(path);
}

static void begin(void)
{
	struct serial_cfg cfg = { .out_fd = -1, .in_fd = -1 };

	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "/tmp/wisp-console-test-%d.sock", getpid());
	remove_socket();
	atexit(remove_socket);
	irq = irq_for_test();
	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(console_create(path, &loop, &console, &err), 0);
	cfg.sink = console_sink(console);
	CHECK_EQ(serial_create(&cfg, &loop, irq, &serial, &err), 0);
	console_attach(console, serial);
}

static void end(void)
{
	console_attach(console, NULL);
	serial_destroy(serial);
	console_destroy(console);
	loop_fini(&loop);
	CHECK(access(path, F_OK) < 0);
}

static void turns(unsigned n)
{
	while (n-- > 0)
		CHECK_EQ(loop_turn(&loop, 2), 0);
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	turns(2);
	return fd;
}

static uint64_t count_of(const counter_t *c)
{
	return counter_get(c);
}

#define COUNT(name) count_of(&console_metrics(console)->name)

/* The byte at each place of the output is `place % 251'. */
static void print(uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		out8(serial_bus_dev(serial), THR, (uint8_t)(i % 251));
	turns(4);
}

/* Reads what is there; it must be what stands at this place of the output. */
static uint64_t hear(int fd, uint64_t at)
{
	uint8_t buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK_EQ(buf[i], at % 251);
	return at;
}

static bool is_closed(int fd)
{
	char c;

	for (;;) {
		ssize_t n = recv(fd, &c, 1, 0);

		if (n <= 0)
			return n == 0 || errno == ECONNRESET;
	}
}

static bool received(char *ret)
{
	if (!(in8(serial_bus_dev(serial), LSR) & LSR_DATA_READY))
		return false;
	*ret = (char)in8(serial_bus_dev(serial), RBR);
	return true;
}

TEST(output_reaches_everybody)
{
	int a, b;

	begin();
	a = dial();
	b = dial();
	print(0, 1000);
	CHECK_EQ(hear(a, 0), 1000);
	print(1000, 5);
	CHECK_EQ(hear(b, 0), 1005);
	CHECK_EQ(hear(a, 1000), 1005);
	CHECK_EQ(COUNT(clients), 2);
	close(a);
	turns(2);
	print(1005, 5);
	CHECK_EQ(hear(b, 1005), 1010);
	close(b);
	end();
}

TEST(who_comes_late_gets_the_last_64_kib)
{
	int fd;

	begin();
	print(0, 10);
	fd = dial();
	CHECK_EQ(hear(fd, 0), 10);
	close(fd);
	for (uint64_t at = 10; at < 3 * CONSOLE_RING; at += 10000)
		print(at, at + 10000 < 3 * CONSOLE_RING ? 10000 : 3 * CONSOLE_RING - at);
	fd = dial();
	CHECK_EQ(hear(fd, 2 * CONSOLE_RING), 3 * CONSOLE_RING);
	print(3 * CONSOLE_RING, 7);
	CHECK_EQ(hear(fd, 3 * CONSOLE_RING), 3 * CONSOLE_RING + 7);
	close(fd);
	end();
}

TEST(the_whole_ring_and_one_byte_less)
{
	int fd;

	begin();
	print(0, 40000);
	print(40000, CONSOLE_RING - 40000);
	fd = dial();
	CHECK_EQ(hear(fd, 0), CONSOLE_RING);
	close(fd);
	print(CONSOLE_RING, 1);
	fd = dial();
	CHECK_EQ(hear(fd, 1), CONSOLE_RING + 1);
	close(fd);
	end();
}

/* A reader that reads nothing is dropped; others get every byte, and the port loses none. */
TEST(a_slow_reader_is_dropped_and_counted)
{
	uint64_t at = 0, got = 0;
	int slow, fast;

	begin();
	slow = dial();
	fast = dial();
	while (COUNT(clients_dropped) == 0) {
		CHECK(at < 64 * CONSOLE_RING);
		print(at, 10000);
		at += 10000;
		got = hear(fast, got);
	}
	CHECK_EQ(got, at);
	CHECK_EQ(count_of(&serial_metrics(serial)->dropped), 0);
	CHECK(is_closed(slow));
	print(at, 100);
	CHECK_EQ(hear(fast, got), at + 100);
	CHECK_EQ(COUNT(clients_dropped), 1);
	close(slow);
	close(fast);
	end();
}

/* One that reads again in time gets everything, in order. */
TEST(a_reader_that_catches_up_stays)
{
	uint64_t at = 0, got = 0;
	int fd;

	begin();
	fd = dial();
	for (int round = 0; round < 50; round++) {
		for (uint64_t n = 0; n < CONSOLE_RING / 2; n += 8192, at += 8192)
			print(at, 8192);
		for (int i = 0; i < 20 && got < at; i++) {
			got = hear(fd, got);
			turns(1);
		}
		CHECK_EQ(got, at);
	}
	CHECK_EQ(COUNT(clients_dropped), 0);
	close(fd);
	end();
}

TEST(the_first_types_and_others_do_not)
{
	int a, b;
	char c = 0;

	begin();
	a = dial();
	b = dial();
	CHECK_EQ(send(b, "b", 1, 0), 1);
	turns(3);
	CHECK(!received(&c));
	CHECK_EQ(send(a, "a", 1, 0), 1);
	turns(3);
	CHECK(received(&c) && c == 'a');
	close(a);
	turns(3);
	/* Nobody is promoted: what b has sent would be typed at once. */
	CHECK(!received(&c));
	a = dial();
	CHECK_EQ(send(a, "c", 1, 0), 1);
	turns(3);
	CHECK(received(&c) && c == 'c');
	CHECK(!received(&c));
	close(a);
	close(b);
	end();
}

/* One turn of the loop may see the old one's end and the new one's beginning in any order. */
TEST(who_comes_as_another_leaves_takes_its_place)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd[CONSOLE_CLIENTS];
	char c = 0;

	begin();
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		fd[i] = dial();
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	for (unsigned i = 0; i < 50; i++) {
		int next = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		/* It waits to be accepted before the other hangs up. */
		CHECK_EQ(connect(next, (struct sockaddr *)&addr, sizeof(addr)), 0);
		close(fd[0]);
		fd[0] = next;
		CHECK_EQ(send(next, "n", 1, 0), 1);
		turns(4);
		CHECK(received(&c) && c == 'n');
	}
	CHECK_EQ(COUNT(clients_refused), 0);
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		close(fd[i]);
	end();
}

TEST(input_is_bounded_and_none_is_lost)
{
	char text[2000], c = 0;
	unsigned n = 0;
	int fd;

	begin();
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	fd = dial();
	CHECK_EQ(send(fd, text, sizeof(text), 0), (ssize_t)sizeof(text));
	for (unsigned i = 0; n < sizeof(text); i++) {
		CHECK(i < 1000);
		turns(2);
		while (received(&c))
			CHECK_EQ(c, text[n++]);
	}
	close(fd);
	end();
}

/* As `socat' and `nc' do when their own input ends. */
TEST(who_has_said_all_may_still_listen)
{
	char c = 0;
	int fd;

	begin();
	fd = dial();
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	turns(5);
	CHECK(received(&c) && c == 'x');
	print(0, 10);
	CHECK_EQ(hear(fd, 0), 10);
	close(fd);
	turns(3);
	fd = dial();
	CHECK_EQ(send(fd, "y", 1, 0), 1);
	turns(3);
	CHECK(received(&c) && c == 'y');
	close(fd);
	end();
}

TEST(one_client_too_many_is_closed)
{
	int fd[CONSOLE_CLIENTS], extra;

	begin();
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		fd[i] = dial();
	extra = dial();
	CHECK(is_closed(extra));
	CHECK_EQ(COUNT(clients_refused), 1);
	CHECK_EQ(COUNT(clients), CONSOLE_CLIENTS);
	close(extra);
	close(fd[5]);
	turns(2);
	fd[5] = dial();
	print(0, 3);
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++) {
		CHECK_EQ(hear(fd[i], 0), 3);
		close(fd[i]);
	}
	end();
}

TEST(clients_may_come_before_the_port)
{
	struct serial_cfg cfg = { .out_fd = -1, .in_fd = -1 };
	char c = 0;
	int fd;

	begin();
	console_attach(console, NULL);
	serial_destroy(serial);
	fd = dial();
	CHECK_EQ(send(fd, "z", 1, 0), 1);
	turns(2);
	cfg.sink = console_sink(console);
	CHECK_EQ(serial_create(&cfg, &loop, irq, &serial, &err), 0);
	console_attach(console, serial);
	turns(2);
	CHECK(received(&c) && c == 'z');
	print(0, 5);
	CHECK_EQ(hear(fd, 0), 5);
	close(fd);
	end();
}

TEST(the_last_output_is_flushed)
{
	int fd;

	begin();
	fd = dial();
	for (unsigned i = 0; i < 100; i++)
		out8(serial_bus_dev(serial), THR, (uint8_t)(i % 251));
	serial_flush(serial, 0);
	CHECK_EQ(hear(fd, 0), 100);
	close(fd);
	end();
}

TEST(clients_that_die_leave_nothing_behind)
{
	begin();
	for (unsigned i = 0; i < 200; i++) {
		int fd = dial();

		print(0, i % 3);
		if (i % 2)
			(void)send(fd, "abc", 3, 0);
		close(fd);
		turns(1);
	}
	turns(3);
	CHECK_EQ(COUNT(clients), 200);
	CHECK_EQ(COUNT(clients_refused) + COUNT(clients_dropped), 0);
	end();
}

TEST(paths_that_cannot_be)
{
	char longest[200];
	struct console *other;

	begin();
	CHECK_EQ(console_create(path, &loop, &other, &err), -EADDRINUSE);
	CHECK(strstr(err.msg, path) && strstr(err.msg, "remove it"));
	CHECK_EQ(console_create("", &loop, &other, &err), -EINVAL);
	CHECK_EQ(console_create("/nonexistent/x", &loop, &other, &err), -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	CHECK_EQ(console_create(longest, &loop, &other, &err), -ENAMETOOLONG);
	CHECK_EQ(access(path, F_OK), 0);
	end();
}

TEST(a_path_that_is_anothers_is_left_alone)
{
	FILE *f;

	begin();
	CHECK_EQ(unlink(path), 0);
	f = fopen(path, "w");
	CHECK(f);
	fclose(f);
	console_attach(console, NULL);
	serial_destroy(serial);
	console_destroy(console);
	CHECK_EQ(access(path, F_OK), 0);
	loop_fini(&loop);
}

TEST(no_descriptor_left)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct rlimit had, few;
	usec_t begun;
	int fd, last;

	begin();
	print(0, 10);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	last = dup(0);
	close(last);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &had), 0);
	few = had;
	few.rlim_cur = (rlim_t)last;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	/* The loop sleeps, though the client waits. */
	begun = clock_monotonic();
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	CHECK(clock_monotonic() >= begun + 100 * USEC_PER_MSEC);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &had), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	CHECK_EQ(hear(fd, 0), 10);
	close(fd);
	turns(2);
	end();
}

TEST(every_fault_of_creation_is_undone)
{
	struct console *c = NULL;
	unsigned n = 0;
	int r = -1;

	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	CHECK_EQ(loop_init(&loop), 0);
	snprintf(path, sizeof(path), "/tmp/wisp-console-test-%d.sock", getpid());
	atexit(remove_socket);
	for (; r < 0; n++) {
		fault_arm((int)n);
		r = console_create(path, &loop, &c, &err);
		fault_arm(-1);
		CHECK(r == 0 || (err.msg[0] != '\0' && access(path, F_OK) < 0));
	}
	CHECK(n > 4);
	console_destroy(c);
	loop_fini(&loop);
}
