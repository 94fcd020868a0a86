/* SPDX-License-Identifier: Apache-2.0 */
/* The socket device: connections of both sides, and the limits of all of them. */
#include <dirent.h>
#include <sys/resource.h>

#include "vsock_rig.h"

TEST(identity)
{
	plug_vsock();
	CHECK_EQ(vdev_id(dev), 19);
	CHECK_EQ(vdev_queues(dev), 3);
	CHECK_EQ(strcmp(vdev_name(dev), "vsock"), 0);
	wr(R_DEVICE_FEATURES_SEL, 0);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 1U << 29); /* EVENT_IDX */
	wr(R_DEVICE_FEATURES_SEL, 1);
	CHECK_EQ(rd(R_DEVICE_FEATURES), 1 | 1U << 3); /* VERSION_1, IN_ORDER */
	CHECK_EQ(rd(R_CONFIG), CID);
	CHECK_EQ(rd(R_CONFIG + 4), 0);
	wr(R_CONFIG, 1);
	CHECK_EQ(rd(R_CONFIG), CID);
	CHECK_EQ(COUNT(cfg_fails), 1);
	unplug_vsock();
}

TEST(the_host_connects)
{
	struct vsock_hdr hdr;
	int fd;

	plug_vsock();
	fd = host_connect();
	host_write(fd, "CONNECT 52\nhello", 16);
	hdr = expect(VSOCK_OP_REQUEST);
	CHECK_EQ(hdr.src_cid, 2);
	CHECK_EQ(hdr.dst_cid, CID);
	CHECK_EQ(hdr.src_port, 1U << 30);
	CHECK_EQ(hdr.dst_port, 52);
	CHECK_EQ(hdr.len, 0);
	CHECK_EQ(hdr.type, 1);
	CHECK_EQ(hdr.flags, 0);
	CHECK_EQ(hdr.buf_alloc, 65536);
	CHECK_EQ(hdr.fwd_cnt, 0);
	expect_silence(); /* what came behind the line waits for the answer */
	send_op(VSOCK_OP_RESPONSE, 52, 1U << 30);
	expect_text(fd, "OK 1073741824\n");
	hdr = expect(VSOCK_OP_RW);
	CHECK_EQ(hdr.len, 5);
	send_data(52, 1U << 30, "world", 5);
	expect_text(fd, "world");
	CHECK_EQ(COUNT(conns_added), 1);
	CHECK_EQ(COUNT(rx_bytes_count), 5);
	CHECK_EQ(COUNT(tx_bytes_count), 5);
	CHECK_EQ(COUNT(rx_packets_count), 2);
	CHECK_EQ(COUNT(tx_packets_count), 2);
	close(fd);
	unplug_vsock();
}

TEST(lines_in_pieces_and_lines_that_are_none)
{
	static const char line[] = "connect 7\n";
	char got;
	int fd;

	plug_vsock();
	fd = host_connect();
	for (unsigned i = 0; i < strlen(line); i++) {
		expect_silence();
		host_write(fd, line + i, 1);
	}
	expect(VSOCK_OP_REQUEST);
	close(fd);
	expect(VSOCK_OP_RST);

	fd = host_connect();
	host_write(fd, "GET / HTTP/1.1\r\n", 16);
	settle();
	CHECK_EQ(host_read(fd, &got, 1), 0);
	close(fd);
	fd = host_connect();
	host_write(fd, "CONNECT 52", 10);
	shutdown(fd, SHUT_WR);
	settle();
	CHECK(is_closed(fd));
	close(fd);
	/* A client that has given up before it was looked at is nobody's business. */
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	close(fd);
	expect_silence();
	CHECK_EQ(COUNT(conns_added), 1);
	CHECK_EQ(COUNT(conns_removed), 1);
	CHECK(is_quiet());
	unplug_vsock();
}

TEST(the_guest_refuses)
{
	int fd;
	struct vsock_hdr hdr;

	plug_vsock();
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	hdr = expect(VSOCK_OP_REQUEST);
	send_op(VSOCK_OP_RST, 52, hdr.src_port);
	expect_end(fd);
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 1);
	close(fd);
	unplug_vsock();
}

TEST(an_answer_that_is_none)
{
	static const unsigned ops[] = { VSOCK_OP_RW,
					VSOCK_OP_SHUTDOWN,
					VSOCK_OP_CREDIT_UPDATE,
					VSOCK_OP_CREDIT_REQUEST,
					0,
					8 };
	struct vsock_hdr hdr;

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = host_connect();

		host_write(fd, "CONNECT 52\n", 11);
		hdr = expect(VSOCK_OP_REQUEST);
		send_op(ops[i], 52, hdr.src_port);
		expect(VSOCK_OP_RST);
		expect_end(fd);
		close(fd);
	}
	CHECK_EQ(COUNT(conns_removed), ARRAY_SIZE(ops));
	unplug_vsock();
}

TEST(the_guest_connects)
{
	struct pair p;
	int server;

	plug_vsock();
	server = host_listen(1234);
	p = open_from_guest(99, server, 1234);
	send_data(99, 1234, "to the host", 11);
	expect_text(p.fd, "to the host");
	host_write(p.fd, "to the guest", 12);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 12);
	/* Another of the guest's ports is another connection. */
	p = open_from_guest(100, server, 1234);
	send_data(100, 1234, "2", 1);
	expect_text(p.fd, "2");
	CHECK_EQ(COUNT(conns_added), 2);
	unplug_vsock();
}

TEST(no_server)
{
	struct vsock_hdr hdr;
	int server;

	plug_vsock();
	send_op(VSOCK_OP_REQUEST, 99, 1234); /* no such file */
	hdr = expect(VSOCK_OP_RST);
	CHECK_EQ(hdr.src_port, 1234);
	CHECK_EQ(hdr.dst_port, 99);
	CHECK_EQ(hdr.src_cid, 2);
	server = host_listen(1234);
	close(server);
	send_op(VSOCK_OP_REQUEST, 99, 1234); /* a file that nobody listens on */
	expect(VSOCK_OP_RST);
	CHECK_EQ(COUNT(conns_added), 0);
	unplug_vsock();
}

TEST(packets_for_nobody_are_answered_with_rst)
{
	static const struct {
		uint64_t src, dst;
		uint16_t type, op;
		bool answered;
	} rows[] = {
		{ CID, 2, 1, VSOCK_OP_RW, true },
		{ CID, 2, 1, VSOCK_OP_RESPONSE, true },
		{ CID, 2, 1, VSOCK_OP_SHUTDOWN, true },
		{ CID, 2, 1, VSOCK_OP_CREDIT_UPDATE, true },
		{ CID, 2, 1, VSOCK_OP_CREDIT_REQUEST, true },
		{ CID, 2, 1, 0, true },
		{ CID, 2, 1, 8, true },
		{ CID, 2, 1, 0xffff, true },
		{ CID, 2, 1, VSOCK_OP_RST, false },
		{ CID, 2, 2, VSOCK_OP_REQUEST, true }, /* SEQPACKET */
		{ CID, 2, 0, VSOCK_OP_REQUEST, true },
		{ CID, 2, 2, VSOCK_OP_RST, false },
		{ CID, 3, 1, VSOCK_OP_REQUEST, true }, /* another guest, another place */
		{ CID, 1, 1, VSOCK_OP_REQUEST, true },
		{ CID, UINT64_MAX, 1, VSOCK_OP_REQUEST, true },
		{ CID, (UINT64_C(1) << 32) + 2, 1, VSOCK_OP_REQUEST, true },
		{ CID + 1, 2, 1, VSOCK_OP_REQUEST, false }, /* not the guest's name */
		{ (UINT64_C(1) << 32) + CID, 2, 1, VSOCK_OP_REQUEST, false },
	};

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vsock_hdr hdr = packet(rows[i].op, 5, 6);

		hdr.src_cid = rows[i].src;
		hdr.dst_cid = rows[i].dst;
		hdr.type = rows[i].type;
		send_packet(&hdr);
		if (rows[i].answered) {
			hdr = expect(VSOCK_OP_RST);
			CHECK_EQ(hdr.src_cid, rows[i].dst);
			CHECK_EQ(hdr.src_port, 6);
			CHECK_EQ(hdr.dst_port, 5);
			CHECK_EQ(hdr.type, rows[i].type);
		}
		expect_silence();
	}
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug_vsock();
}

TEST(lengths_that_do_not_fit_end_the_connection)
{
	static const uint32_t lens[] = { 17, 65536, 65537, 0x80000000, UINT32_MAX };
	int server;

	plug_vsock();
	server = host_listen(1);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		struct pair p = open_from_guest(9, server, 1);
		struct vsock_hdr hdr = packet(VSOCK_OP_RW, 9, 1);

		hdr.len = lens[i];
		queue_packet(&hdr);
		/* 16 bytes of data whatever the header says */
		desc(Q_DESC + RING * TX, (tx_next - 1U) % (Q_SIZE / 2) * 2 + 1, DATA_AT, 16, 0, 0);
		kick_queue(TX);
		taken[TX]++;
		expect(VSOCK_OP_RST);
		expect_end(p.fd);
		close(p.fd);
	}
	/* And a surplus is nobody's. */
	open_from_guest(9, server, 1);
	CHECK_EQ(rd(R_STATUS), RUN);
	unplug_vsock();
}

TEST(a_packet_of_64_kib)
{
	static uint8_t data[65536], got[65536];
	struct pair p;
	int server;

	plug_vsock();
	server = host_listen(1);
	p = open_from_guest(9, server, 1);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	send_data(9, 1, data, sizeof(data));
	CHECK_EQ(host_read(p.fd, got, sizeof(got)), (ssize_t)sizeof(got));
	CHECK_EQ(memcmp(data, got, sizeof(got)), 0);
	CHECK_EQ(expect(VSOCK_OP_CREDIT_UPDATE).fwd_cnt, 65536);
	unplug_vsock();
}

TEST(malformed_chains_need_a_reset)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} rows[] = { { 43, 0 }, { 0, 0 }, { 44, WRITE }, { 100, WRITE } };
	struct pair p;

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		p = open_from_host(52);
		desc(Q_DESC + RING * TX, 0, TX_AT, rows[i].len, rows[i].flags, 0);
		offer_to(TX, 0);
		kick_queue(TX);
		CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
		CHECK_EQ(COUNT(tx_queue_event_fails), i + 1);
		expect_end(p.fd);
		close(p.fd);
		CHECK(is_quiet());
		wr(R_STATUS, 0);
		drive(0);
		give_rx_all();
	}
	open_from_host(52);
	unplug_vsock();
}

TEST(malformed_receive_buffers_need_a_reset)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} rows[] = { { 43, WRITE }, { 0, WRITE }, { 44, 0 }, { 4096, 0 } };
	int fd;

	plug_vsock();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		wr(R_STATUS, 0);
		drive(0);
		desc(Q_DESC, 0, RX_AT, rows[i].len, rows[i].flags, 0);
		offer_to(RX, 0);
		kick_queue(RX);
		CHECK_EQ(rd(R_STATUS), RUN); /* not looked at before it is needed */
		fd = host_connect();
		host_write(fd, "CONNECT 1\n", 10);
		settle();
		CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
		CHECK_EQ(COUNT(rx_queue_event_fails), i + 1);
		expect_end(fd);
		close(fd);
	}
	unplug_vsock();
}

TEST(a_buffer_without_room_for_data)
{
	struct pair p;
	struct vsock_hdr hdr;
	uint32_t head, len;

	make_folder();
	make_device();
	drive(0);
	give_rx(0);
	p = open_from_host(5);
	CHECK(get16(Q_USED + 2) == 1);
	/* The one buffer is used up by what it can hold: no endless loop, no lost data. */
	expect_silence();
	host_write(p.fd, "x", 1);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 1);
	taken[RX] = get16(Q_USED + 2);
	wr(R_STATUS, 0);
	drive(0);
	for (uint16_t i = 0; i < 3; i++) {
		desc(Q_DESC, i, RX_AT + 64U * i, VSOCK_HDR_SIZE, WRITE, 0);
		offer_to(RX, i);
	}
	close(p.fd);
	p.fd = host_connect();
	host_write(p.fd, "CONNECT 1\nabc", 13);
	settle();
	CHECK(take_from(RX, &head, &len));
	memcpy(&hdr, ram + RX_AT, sizeof(hdr));
	CHECK_EQ(hdr.op, VSOCK_OP_REQUEST);
	send_op(VSOCK_OP_RESPONSE, 1, hdr.src_port);
	for (uint16_t i = 1; i < 3; i++) {
		CHECK(take_from(RX, &head, &len));
		memcpy(&hdr, ram + RX_AT + 64 * i, sizeof(hdr));
		CHECK_EQ(hdr.op, VSOCK_OP_CREDIT_UPDATE);
	}
	CHECK(is_quiet());
	give_rx(0);
	kick_queue(RX);
	CHECK_EQ(expect(VSOCK_OP_RW).len, 3);
	unplug_vsock();
}

TEST(a_second_request_replaces_the_first)
{
	struct pair a, b;
	int server;

	plug_vsock();
	server = host_listen(1);
	a = open_from_guest(9, server, 1);
	b = open_from_guest(9, server, 1);
	expect_end(a.fd);
	send_data(9, 1, "new", 3);
	expect_text(b.fd, "new");
	expect_silence();
	CHECK_EQ(COUNT(conns_removed), 1);
	unplug_vsock();
}

TEST(ports_are_given_out_in_turn)
{
	plug_vsock();
	for (unsigned i = 0; i < 5; i++) {
		struct pair p = open_from_host(52);

		CHECK_EQ(p.host, (1U << 30) + i);
		close(p.fd);
		expect(VSOCK_OP_SHUTDOWN);
		send_op(VSOCK_OP_RST, 52, p.host);
	}
	CHECK_EQ(COUNT(conns_removed), 5);
	unplug_vsock();
}

static bool may_open(rlim_t files)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	return limit.rlim_max >= files && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

TEST(at_most_1023_connections)
{
	static int fds[1024];
	int server, more;

	if (!may_open(4096))
		SKIP("fewer than 4096 descriptors");
	plug_vsock();
	server = host_listen(1);
	for (unsigned i = 0; i < 1023; i++)
		fds[i] = i % 2 ? open_from_host(52).fd : open_from_guest(i, server, 1).fd;
	CHECK_EQ(COUNT(conns_added), 1023);
	send_op(VSOCK_OP_REQUEST, 5000, 1);
	expect(VSOCK_OP_RST);
	more = host_connect();
	host_write(more, "CONNECT 52\n", 11);
	settle();
	CHECK(is_closed(more));
	close(more);
	CHECK_EQ(COUNT(muxer_event_fails), 1);
	/* One that ends makes room for one. */
	send_op(VSOCK_OP_RST, 0, 1);
	expect_end(fds[0]);
	fds[0] = open_from_guest(6000, server, 1).fd;
	CHECK(is_quiet());
	wr(R_STATUS, 0);
	settle();
	for (unsigned i = 0; i < 1023; i++) {
		CHECK(is_closed(fds[i]));
		close(fds[i]);
	}
	CHECK_EQ(COUNT(conns_removed), 1024);
	unplug_vsock();
}

TEST(silent_clients_give_way)
{
	static int fds[1023];
	struct pair p;
	char got;

	if (!may_open(4096))
		SKIP("fewer than 4096 descriptors");
	plug_vsock();
	for (unsigned i = 0; i < 1023; i++) {
		fds[i] = host_connect();
		settle();
	}
	p = open_from_host(52);
	CHECK_EQ(host_read(fds[0], &got, 1), 0); /* the oldest */
	CHECK_EQ(host_read(fds[1], &got, 1), -EAGAIN);
	send_op(VSOCK_OP_REQUEST, 1, 1); /* there is no server, but nor is there a second victim */
	expect(VSOCK_OP_RST);
	CHECK_EQ(host_read(fds[1], &got, 1), -EAGAIN);
	close(p.fd);
	unplug_vsock();
}

TEST(no_descriptor_left)
{
	struct rlimit old, none;
	int fd, server;
	char got;

	plug_vsock();
	server = host_listen(1);
	fd = host_connect();
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK(is_quiet()); /* it does not try again and again */
	CHECK_EQ(COUNT(muxer_event_fails), 1);
	send_op(VSOCK_OP_REQUEST, 9, 1);
	expect(VSOCK_OP_RST);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	host_write(fd, "CONNECT 4\n", 10);
	for (unsigned i = 0; i < 1000 && get16(Q_USED + 2) < 2; i++)
		CHECK_EQ(loop_turn(&loop, 50), 0);
	expect(VSOCK_OP_REQUEST);
	CHECK_EQ(host_read(fd, &got, 1), -EAGAIN);
	close(server);
	unplug_vsock();
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* `.', `..', and its own */
}

TEST(the_guest_leaves_descriptors_to_others)
{
	struct rlimit few = { .rlim_cur = 64, .rlim_max = 64 };
	unsigned before, taken_up = 0;
	int fd;

	make_folder();
	host_listen(1); /* connections wait in its queue: the other end needs no descriptor */
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	make_device();
	drive(0);
	give_rx_all();
	before = open_descriptors();
	for (unsigned i = 0; i < 64; i++) {
		struct vsock_hdr hdr = { 0 };

		send_op(VSOCK_OP_REQUEST, 1000 + i, 1);
		settle();
		CHECK(next_packet(&hdr, NULL));
		kick_queue(RX);
		if (hdr.op == VSOCK_OP_RESPONSE)
			taken_up++;
		else
			CHECK_EQ(hdr.op, VSOCK_OP_RST);
	}
	CHECK_EQ(taken_up, 32);
	CHECK_EQ(open_descriptors(), before + taken_up);
	/* A program that wants one more is sent away, and does not wait. */
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	settle();
	CHECK(is_closed(fd));
	close(fd);
	CHECK_EQ(COUNT(muxer_event_fails), 1);
	unplug_vsock();
}

/* --- clients that are killed: their sockets close, wherever they are ---------------- */

static void kill_a_client(struct pair *p)
{
	struct vsock_hdr hdr = { 0 };

	close(p->fd);
	settle();
	while (hdr.flags != VSOCK_SHUT_BOTH) {
		CHECK(next_packet(&hdr, NULL));
		kick_queue(RX);
	}
	CHECK_EQ(hdr.op, VSOCK_OP_SHUTDOWN);
	send_op(VSOCK_OP_RST, p->guest, p->host);
}

static void kill_one_of_each(int server, uint32_t guest)
{
	static uint8_t data[65536];
	struct pair p;
	int fd = host_connect();

	settle();
	close(fd); /* it has said nothing */
	fd = host_connect();
	host_write(fd, "CONNECT 5", 9);
	settle();
	close(fd);
	fd = host_connect();
	host_write(fd, "CONNECT 52\n", 11);
	expect(VSOCK_OP_REQUEST); /* and the guest thinks about it */
	close(fd);
	expect(VSOCK_OP_RST);
	p = open_from_host(52);
	kill_a_client(&p);
	p = open_from_host(52); /* with bytes of both directions unread */
	while (send(p.fd, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	for (unsigned i = 0; i < 4; i++)
		send_data(p.guest, p.host, data, 16384);
	kill_a_client(&p);
	p = open_from_guest(guest, server, 1);
	kill_a_client(&p);
	p = open_from_guest(guest, server, 1); /* and the guest goes at the same time */
	close(p.fd);
	send_shutdown(p.guest, p.host, VSOCK_SHUT_BOTH);
	expect(VSOCK_OP_RST);
	expect_silence();
}

TEST(killed_clients_leave_no_descriptor)
{
	unsigned after_two = 0;
	int server;

	plug_vsock();
	server = host_listen(1);
	for (unsigned round = 1; round <= 20; round++) {
		kill_one_of_each(server, 100 + round);
		CHECK_EQ(COUNT(conns_added), 5 * round);
		CHECK_EQ(COUNT(conns_removed), 5 * round);
		if (round == 2)
			after_two = open_descriptors();
	}
	CHECK_EQ(open_descriptors(), after_two);
	CHECK(is_quiet());
	unplug_vsock();
}

TEST(creation_under_faults)
{
	struct vsock_cfg cfg = { .guest_cid = CID, .uds_path = uds, .loop = &loop };
	struct err e;

	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	make_folder();
	plug_loop();
	CHECK_EQ(vsock_listen(uds, &listener, &e), 0);
	cfg.listen_fd = listener.fd;
	for (unsigned n = 0;; n++) {
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = vsock_create(&cfg, &dev, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK(n >= 7);
			vdev_destroy(dev);
			break;
		}
		CHECK(strstr(e.msg, "vsock") != NULL);
	}
	loop_fini(&loop);
	vsock_unlisten(&listener);
	remove_folder();
}
