/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the socket device: its credit, its ends, and slow sides. */
#include <sys/resource.h>

#include "vsock_rig.h"

static struct pair p;

/* A connection that the guest made, from its port 9 to port 1. */
static void plug_pair(void)
{
	int server;

	plug_vsock();
	server = host_listen(1);
	p = open_from_guest(9, server, 1);
	close(server);
}

static struct vsock_hdr of_pair(unsigned op)
{
	return packet(op, p.guest, p.host);
}

/* What the guest says about its buffer. */
static void say_credit(uint32_t fwd_cnt, uint32_t buf_alloc)
{
	struct vsock_hdr hdr = of_pair(VSOCK_OP_CREDIT_UPDATE);

	hdr.fwd_cnt = fwd_cnt;
	hdr.buf_alloc = buf_alloc;
	send_packet(&hdr);
}

/* Takes data packets until there is none: bytes; they continue the pattern at *at. */
static unsigned take_pattern(uint32_t *at)
{
	static uint8_t data[4096];
	struct vsock_hdr hdr;
	unsigned got = 0;

	settle();
	while (next_packet(&hdr, data)) {
		kick_queue(RX);
		if (hdr.op != VSOCK_OP_RW)
			continue;
		for (unsigned i = 0; i < hdr.len; i++, (*at)++)
			CHECK_EQ(data[i], (uint8_t)(*at % 251));
		got += hdr.len;
	}
	return got;
}

static uint8_t *pattern(uint32_t at, uint32_t len)
{
	static uint8_t bytes[1 << 18];

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((at + i) % 251);
	return bytes;
}

/* --- ends --------------------------------------------------------------------------- */

TEST(the_host_closes)
{
	struct vsock_hdr hdr;

	plug_pair();
	host_write(p.fd, "last", 4);
	close(p.fd);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 4);
	hdr = expect(VSOCK_OP_SHUTDOWN);
	CHECK_EQ(hdr.flags, VSOCK_SHUT_BOTH);
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 0);
	send_op(VSOCK_OP_RST, p.guest, p.host);
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK_EQ(COUNT(conns_killed), 0);
	unplug_vsock();
}

TEST(the_host_closes_and_leaves_something_unread)
{
	struct vsock_hdr hdr;

	plug_pair();
	send_data(p.guest, p.host, "unread", 6);
	host_write(p.fd, "last", 4);
	close(p.fd);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 4);
	hdr = expect(VSOCK_OP_SHUTDOWN);
	CHECK_EQ(hdr.flags, VSOCK_SHUT_BOTH);
	/* What is under way is for nobody, and no error. */
	send_data(p.guest, p.host, "more", 4);
	expect_silence();
	send_op(VSOCK_OP_RST, p.guest, p.host);
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK_EQ(COUNT(rx_read_fails), 0);
	unplug_vsock();
}

TEST(the_guest_writes_to_a_host_that_has_gone)
{
	unsigned flags = 0;
	struct vsock_hdr hdr;

	plug_pair();
	host_write(p.fd, "last", 4);
	close(p.fd);
	hdr = of_pair(VSOCK_OP_RW);
	hdr.len = 3;
	queue_packet(&hdr);
	wr(R_NOTIFY, TX); /* both are news of the same turn */
	CHECK_EQ(expect(VSOCK_OP_RW).len, 4);
	while (flags != VSOCK_SHUT_BOTH)
		flags = expect(VSOCK_OP_SHUTDOWN).flags;
	CHECK(COUNT(tx_write_fails) <= 1);
	unplug_vsock();
}

TEST(the_host_ends_its_half)
{
	struct vsock_hdr hdr;

	plug_pair();
	host_write(p.fd, "question", 8);
	shutdown(p.fd, SHUT_WR);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 8);
	hdr = expect(VSOCK_OP_SHUTDOWN);
	CHECK_EQ(hdr.flags, VSOCK_SHUT_SEND);
	send_data(p.guest, p.host, "answer", 6);
	expect_text(p.fd, "answer");
	CHECK(is_quiet());
	close(p.fd);
	hdr = expect(VSOCK_OP_SHUTDOWN);
	CHECK_EQ(hdr.flags, VSOCK_SHUT_BOTH);
	send_op(VSOCK_OP_RST, p.guest, p.host);
	CHECK_EQ(COUNT(conns_removed), 1);
	unplug_vsock();
}

TEST(the_host_reads_no_more)
{
	struct vsock_hdr hdr;

	plug_pair();
	shutdown(p.fd, SHUT_RD);
	send_data(p.guest, p.host, "x", 1);
	hdr = expect(VSOCK_OP_SHUTDOWN);
	CHECK_EQ(hdr.flags, VSOCK_SHUT_RCV);
	CHECK_EQ(COUNT(tx_write_fails), 1);
	host_write(p.fd, "still here", 10);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 10);
	send_data(p.guest, p.host, "y", 1);
	expect_silence();
	unplug_vsock();
}

TEST(the_guest_ends_its_half)
{
	plug_pair();
	send_data(p.guest, p.host, "question", 8);
	send_shutdown(p.guest, p.host, VSOCK_SHUT_SEND);
	expect_text(p.fd, "question");
	expect_end(p.fd);
	host_write(p.fd, "answer", 6);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 6);
	send_shutdown(p.guest, p.host, VSOCK_SHUT_RCV);
	expect(VSOCK_OP_RST);
	CHECK_EQ(COUNT(conns_removed), 1);
	unplug_vsock();
}

TEST(the_guest_sends_after_its_end)
{
	plug_pair();
	send_shutdown(p.guest, p.host, VSOCK_SHUT_SEND);
	send_data(p.guest, p.host, "x", 1);
	expect(VSOCK_OP_RST);
	expect_end(p.fd);
	unplug_vsock();
}

TEST(the_guest_reads_no_more)
{
	plug_pair();
	send_shutdown(p.guest, p.host, VSOCK_SHUT_RCV);
	settle();
	CHECK_EQ(send(p.fd, "x", 1, MSG_NOSIGNAL), -1);
	CHECK_EQ(errno, EPIPE);
	expect_silence();
	send_data(p.guest, p.host, "still here", 10);
	expect_text(p.fd, "still here");
	close(p.fd);
	CHECK_EQ(expect(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_BOTH);
	unplug_vsock();
}

TEST(the_guest_closes)
{
	plug_pair();
	send_data(p.guest, p.host, "last", 4);
	send_shutdown(p.guest, p.host, VSOCK_SHUT_BOTH);
	expect(VSOCK_OP_RST);
	expect_text(p.fd, "last");
	expect_end(p.fd);
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 1);
	/* No flags are no news. */
	unplug_vsock();
}

TEST(a_shutdown_without_flags_and_with_unknown_ones)
{
	plug_pair();
	send_shutdown(p.guest, p.host, 0);
	send_shutdown(p.guest, p.host, 0xfffffffc);
	send_data(p.guest, p.host, "here", 4);
	expect_text(p.fd, "here");
	expect_silence();
	unplug_vsock();
}

TEST(the_guest_resets)
{
	plug_pair();
	send_op(VSOCK_OP_RST, p.guest, p.host);
	expect_end(p.fd);
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 1);
	send_data(p.guest, p.host, "x", 1);
	expect(VSOCK_OP_RST);
	unplug_vsock();
}

TEST(operations_that_an_open_connection_has_not)
{
	static const unsigned ops[] = { VSOCK_OP_RESPONSE, 0, 8, 0xffff };

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		p = open_from_host(52);
		send_op(ops[i], p.guest, p.host);
		expect(VSOCK_OP_RST);
		expect_end(p.fd);
		close(p.fd);
	}
	CHECK_EQ(COUNT(conns_removed), ARRAY_SIZE(ops));
	unplug_vsock();
}

/* Turns the loop until the guest gets something, for as long as that takes. */
static void wait_for_packet(void)
{
	for (unsigned i = 0; i < 1000 && get16(Q_USED + 2) == taken[RX]; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
}

TEST(a_guest_that_does_not_answer)
{
	int fd;

	plug_pair();
	fd = host_connect();
	host_write(fd, "CONNECT 5\n", 10);
	expect(VSOCK_OP_REQUEST);
	close(p.fd);
	CHECK_EQ(expect(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_BOTH);
	wait_for_packet();
	CHECK_EQ(expect(VSOCK_OP_RST).dst_port, 5);
	expect_end(fd);
	wait_for_packet();
	CHECK_EQ(expect(VSOCK_OP_RST).dst_port, 9);
	CHECK_EQ(COUNT(conns_killed), 2);
	CHECK_EQ(COUNT(conns_removed), 2);
	CHECK(!loop.timers);
	unplug_vsock();
}

/* --- a slow host ----------------------------------------------------------------------- */

/* Sends until the guest's credit is used up: bytes. */
static uint32_t fill_host(void)
{
	enum { PART = 32768 };
	struct vsock_hdr hdr = { .fwd_cnt = 0 };
	uint32_t sent = 0;

	while (sent + PART - hdr.fwd_cnt <= 65536) {
		send_data(p.guest, p.host, pattern(sent, PART), PART);
		sent += PART;
		while (next_packet(&hdr, NULL))
			CHECK_EQ(hdr.op, VSOCK_OP_CREDIT_UPDATE);
	}
	return sent;
}

static uint32_t drain_host(uint32_t at)
{
	static uint8_t got[65536];
	ssize_t n;

	while ((n = host_read(p.fd, got, sizeof(got))) > 0) {
		CHECK_EQ(memcmp(got, pattern(at, (uint32_t)n), (size_t)n), 0);
		at += (uint32_t)n;
		settle();
	}
	return at;
}

TEST(a_slow_host_holds_back_its_connection_alone)
{
	struct pair slow, other;
	struct vsock_hdr hdr = { 0 };
	uint32_t sent;

	plug_pair();
	slow = p;
	sent = fill_host();
	CHECK(sent >= 65536 + 65536); /* the socket's and ours */
	CHECK(is_quiet());
	other = open_from_host(77);
	send_data(other.guest, other.host, "quick", 5);
	expect_text(other.fd, "quick");
	p = slow;
	CHECK_EQ(drain_host(0), sent);
	while (next_packet(&hdr, NULL))
		;
	CHECK_EQ(hdr.op, VSOCK_OP_CREDIT_UPDATE);
	CHECK_EQ(hdr.fwd_cnt, sent);
	CHECK_EQ(COUNT(tx_flush_fails), 0);
	CHECK(is_quiet());
	unplug_vsock();
}

TEST(more_than_the_credit_ends_the_connection)
{
	uint32_t sent;

	plug_pair();
	sent = fill_host();
	/* What is left of the credit, to the byte; then one more. */
	for (struct vsock_hdr hdr; next_packet(&hdr, NULL);)
		;
	send_data(p.guest, p.host, pattern(sent, 1), 1);
	expect(VSOCK_OP_RST);
	CHECK_EQ(COUNT(conns_removed), 1);
	unplug_vsock();
}

TEST(a_guest_that_closes_leaves_its_last_bytes)
{
	uint32_t sent;

	plug_pair();
	sent = fill_host();
	send_shutdown(p.guest, p.host, VSOCK_SHUT_BOTH);
	expect(VSOCK_OP_RST);
	/* For the guest it is over: the same ports are free. */
	send_op(VSOCK_OP_REQUEST, p.guest, p.host);
	expect(VSOCK_OP_RST);
	CHECK_EQ(drain_host(0), sent);
	expect_end(p.fd);
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK(is_quiet());
	unplug_vsock();
}

TEST(last_bytes_give_way_when_all_connections_are_taken)
{
	static int fds[1023];
	struct rlimit limit;
	uint32_t sent;
	int server, slow;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < 4096 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		SKIP("fewer than 4096 descriptors");
	plug_vsock();
	server = host_listen(1);
	p = open_from_guest(9, server, 1);
	slow = p.fd;
	sent = fill_host();
	send_shutdown(p.guest, p.host, VSOCK_SHUT_BOTH);
	expect(VSOCK_OP_RST);
	for (unsigned i = 0; i < 1022; i++)
		fds[i] = open_from_guest(1000 + i, server, 1).fd;
	fds[1022] = host_connect(); /* silent: it goes before bytes do, and they before nobody */
	settle();
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK(drain_host(0) < sent);
	CHECK(is_closed(slow));
	CHECK(!is_closed(fds[1022]));
	fds[0] = open_from_guest(5000, server, 1).fd;
	CHECK(is_closed(fds[1022]));
	CHECK_EQ(COUNT(conns_added), 1024);
	unplug_vsock();
}

TEST(a_host_that_writes_to_a_guest_that_has_closed)
{
	uint32_t sent;

	plug_pair();
	sent = fill_host();
	while (send(p.fd, pattern(0, 8192), 8192, MSG_NOSIGNAL) > 0)
		;
	CHECK_EQ(errno, EAGAIN); /* it would write for ever, and only then read */
	send_shutdown(p.guest, p.host, VSOCK_SHUT_BOTH);
	settle();
	CHECK_EQ(send(p.fd, "x", 1, MSG_NOSIGNAL), -1);
	CHECK_EQ(errno, EPIPE);
	CHECK_EQ(drain_host(0), sent);
	CHECK(is_closed(p.fd));
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK(is_quiet());
	unplug_vsock();
}

/* KiB that the mapping of all connections' buffers takes. */
static unsigned long buffers_kib(void)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long kib, size = 0, found = 0;
	char line[256];

	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "Size: %lu kB", &kib) == 1)
			size = kib;
		else if (size == 1023UL * 64 && sscanf(line, "Rss: %lu kB", &kib) == 1)
			found += kib;
	}
	CHECK_EQ(fclose(maps), 0);
	return found;
}

TEST(what_waits_for_a_slow_host_takes_64_kib_and_no_longer_than_the_connection)
{
	unsigned long kib[3] = { 0 };
	struct pair pairs[2];

	plug_vsock();
	CHECK_EQ(buffers_kib(), 0);
	for (unsigned i = 0; i < 2; i++) {
		pairs[i] = p = open_from_host(52);
		fill_host();
		kib[i + 1] = buffers_kib();
		CHECK(kib[i + 1] > kib[i] && kib[i + 1] <= kib[i] + 64);
	}
	for (unsigned i = 2; i-- > 0;) {
		close(pairs[i].fd);
		send_op(VSOCK_OP_RST, pairs[i].guest, pairs[i].host);
		settle();
		CHECK_EQ(buffers_kib(), kib[i]);
	}
	unplug_vsock();
}

TEST(a_guest_that_ends_its_half_with_bytes_under_way)
{
	uint32_t sent;

	plug_pair();
	sent = fill_host();
	send_shutdown(p.guest, p.host, VSOCK_SHUT_SEND);
	CHECK_EQ(drain_host(0), sent);
	expect_end(p.fd);
	host_write(p.fd, "answer", 6);
	settle();
	for (struct vsock_hdr hdr = { 0 }; hdr.op != VSOCK_OP_RW;)
		CHECK(next_packet(&hdr, NULL));
	unplug_vsock();
}

TEST(a_host_that_goes_with_bytes_under_way)
{
	plug_pair();
	fill_host();
	close(p.fd);
	settle();
	for (struct vsock_hdr hdr = { 0 }; hdr.flags != VSOCK_SHUT_BOTH;)
		CHECK(next_packet(&hdr, NULL));
	CHECK_EQ(COUNT(tx_flush_fails), 1);
	CHECK(is_quiet());
	send_op(VSOCK_OP_RST, p.guest, p.host);
	CHECK_EQ(COUNT(conns_removed), 1);
	unplug_vsock();
}

/* --- a slow guest ----------------------------------------------------------------------- */

/* As much as the socket takes: bytes. */
static uint32_t flood(void)
{
	uint32_t sent = 0;
	ssize_t n;

	while ((n = send(p.fd, pattern(sent, 8192), 8192, MSG_NOSIGNAL)) > 0)
		sent += (uint32_t)n;
	CHECK_EQ(errno, EAGAIN);
	return sent;
}

TEST(a_guest_without_buffers_costs_nothing)
{
	uint32_t sent, at = 0, got = 0;

	make_folder();
	make_device();
	drive(0);
	give_rx(0);
	p = open_from_host(52); /* the one buffer is given again and again */
	CHECK_EQ(get16(Q_AVAIL + 2) - get16(Q_USED + 2), 1);
	sent = flood();
	settle();
	CHECK(is_quiet());
	CHECK_EQ(get16(Q_AVAIL + 2) - get16(Q_USED + 2), 0);
	sent += flood(); /* and there is room again for what was taken */
	CHECK(is_quiet());
	got = take_pattern(&at);
	CHECK_EQ(got, sent);
	CHECK(is_quiet());
	unplug_vsock();
}

TEST(a_guest_without_credit)
{
	struct vsock_hdr hdr;
	uint32_t at = 0;

	plug_pair();
	say_credit(0, 100);
	host_write(p.fd, pattern(0, 1000), 1000);
	hdr = expect(VSOCK_OP_RW);
	CHECK_EQ(hdr.len, 100);
	expect(VSOCK_OP_CREDIT_REQUEST);
	expect_silence(); /* asked once */
	CHECK(is_quiet());
	say_credit(0, 100); /* an answer that gives none */
	expect_silence();
	say_credit(60, 100);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 60);
	expect(VSOCK_OP_CREDIT_REQUEST);
	say_credit(60, 4294967295); /* a jump to all there is */
	CHECK_EQ(expect(VSOCK_OP_RW).len, 840);
	expect_silence();
	(void)at;
	unplug_vsock();
}

TEST(lies_about_credit)
{
	plug_pair();
	say_credit(0, 100);
	host_write(p.fd, pattern(0, 1000), 1000);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 100);
	expect(VSOCK_OP_CREDIT_REQUEST);
	say_credit(101, 1000); /* more than it was sent */
	say_credit(0x80000000, 1000);
	say_credit(UINT32_MAX, 1000);
	expect_silence();
	say_credit(50, 100);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 50);
	expect(VSOCK_OP_CREDIT_REQUEST);
	say_credit(49, 1000); /* less than before: it comes late */
	expect_silence();
	say_credit(150, 0); /* a buffer that has gone */
	expect_silence();
	say_credit(150, 850);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 850);
	unplug_vsock();
}

TEST(credit_is_told_when_asked)
{
	struct vsock_hdr hdr = { 0 };

	plug_pair();
	send_data(p.guest, p.host, "12345", 5);
	expect_silence(); /* little has been used */
	hdr = of_pair(VSOCK_OP_CREDIT_REQUEST);
	send_packet(&hdr);
	hdr = expect(VSOCK_OP_CREDIT_UPDATE);
	CHECK_EQ(hdr.fwd_cnt, 5);
	CHECK_EQ(hdr.buf_alloc, 65536);
	expect_silence();
	unplug_vsock();
}

TEST(connections_take_turns)
{
	struct pair many[4];
	unsigned last = 0;

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = p = open_from_host(100 + i);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		p = many[i];
		flood();
	}
	settle();
	for (unsigned i = 0; i < 40; i++) {
		struct vsock_hdr hdr;

		CHECK(next_packet(&hdr, NULL));
		kick_queue(RX);
		CHECK_EQ(hdr.op, VSOCK_OP_RW);
		if (i > 0)
			CHECK_EQ(hdr.dst_port, 100 + (last - 100 + 1) % 4);
		last = hdr.dst_port;
	}
	unplug_vsock();
}

/* --- many answers -------------------------------------------------------------------------- */

TEST(answers_without_room_hold_the_guest_back)
{
	unsigned answered = 0, sent = 0, head, len;
	struct vsock_hdr hdr;

	make_folder();
	make_device();
	drive(0);
	/* No receive buffer: 256 answers wait, then the packets themselves do. */
	while (sent < 300) {
		hdr = packet(VSOCK_OP_RW, sent, 1);
		queue_packet(&hdr);
		sent++;
		kick_queue(TX);
		if (sent <= 256)
			CHECK(take_from(TX, &head, &len));
		else
			CHECK(!take_from(TX, &head, &len));
		if (sent == 256 + Q_SIZE / 2)
			break;
	}
	CHECK(is_quiet());
	give_rx_all();
	while (next_packet(&hdr, NULL)) {
		CHECK_EQ(hdr.op, VSOCK_OP_RST);
		CHECK_EQ(hdr.dst_port, answered);
		answered++;
		kick_queue(RX);
	}
	CHECK_EQ(answered, sent);
	unplug_vsock();
}
