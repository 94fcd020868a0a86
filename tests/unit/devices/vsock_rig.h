/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's socket driver and the programs on the host, for tests of the socket
 * device: three queues, packets sent and taken one by one, sockets in a folder that
 * goes away with the test.
 */
#pragma once

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices/virtio/vsock/host.h"
#include "devices/virtio/vsock/packet.h"
#include "devices/virtio/vsock/vsock.h"
#include "driver.h"

enum { RX, TX, EVENTS };
enum {
	RING = 0x3000, /* from one queue's rings to the next one's */
	RX_AT = 0x10000,
	RX_STEP = 0x2000,
	RX_SIZE = VSOCK_HDR_SIZE + 4096,
	EVENT_AT = 0x38000,
	TX_AT = 0x40000,
	DATA_AT = 0x50000, /* to the end of RAM: 700 KiB */
	CID = 42,
	OP_ANY = 0,
};

static struct vdev *dev;
static struct vsock_listener listener;
static char folder[32], uds[64];
static uint16_t taken[3]; /* used entries that have been looked at */
static uint16_t tx_next;

/* --- rings -------------------------------------------------------------------------- */

maybe_unused static void offer_to(unsigned q, uint16_t head)
{
	unsigned at = Q_AVAIL + RING * q;
	uint16_t idx = get16(at + 2);

	put16(at + 4 + 2 * (idx % Q_SIZE), head);
	put16(at + 2, (uint16_t)(idx + 1));
}

maybe_unused static bool take_from(unsigned q, uint32_t *head, uint32_t *len)
{
	unsigned ring = Q_USED + RING * q;
	unsigned at = ring + 4 + 8 * (taken[q] % Q_SIZE);

	if (get16(ring + 2) == taken[q])
		return false;
	*head = get32(at);
	*len = get32(at + 4);
	taken[q]++;
	return true;
}

maybe_unused static void kick_queue(unsigned q)
{
	wr(R_NOTIFY, q);
	settle();
}

/* One receive buffer, in two segments like older drivers' ones. */
maybe_unused static void give_rx(uint16_t n)
{
	unsigned at = RX_AT + RX_STEP * n;

	desc(Q_DESC, 2 * n, at, VSOCK_HDR_SIZE, WRITE | NEXT, (uint16_t)(2 * n + 1));
	desc(Q_DESC, 2 * n + 1, at + VSOCK_HDR_SIZE, RX_SIZE - VSOCK_HDR_SIZE, WRITE, 0);
	offer_to(RX, (uint16_t)(2 * n));
}

maybe_unused static void give_rx_all(void)
{
	for (uint16_t n = 0; n < Q_SIZE / 2; n++)
		give_rx(n);
	kick_queue(RX);
}

maybe_unused static void give_event(uint16_t n)
{
	desc(Q_DESC + RING * EVENTS, n, EVENT_AT + 16U * n, 4, WRITE, 0);
	offer_to(EVENTS, n);
}

/* --- packets ------------------------------------------------------------------------- */

/* The guest's next packet; its buffer is given back. */
maybe_unused static bool next_packet(struct vsock_hdr *hdr, uint8_t *data)
{
	uint32_t head, len;

	if (!take_from(RX, &head, &len))
		return false;
	CHECK_EQ(head % 2, 0);
	CHECK(len >= VSOCK_HDR_SIZE);
	memcpy(hdr, ram + RX_AT + RX_STEP * (head / 2), VSOCK_HDR_SIZE);
	CHECK_EQ(len, VSOCK_HDR_SIZE + hdr->len);
	CHECK_EQ(hdr->dst_cid, CID);
	if (data)
		memcpy(data, ram + RX_AT + RX_STEP * (head / 2) + VSOCK_HDR_SIZE, hdr->len);
	give_rx((uint16_t)(head / 2));
	return true;
}

/* It comes, and is of this kind. */
maybe_unused static struct vsock_hdr expect(unsigned op)
{
	struct vsock_hdr hdr = { 0 };

	settle();
	CHECK(next_packet(&hdr, NULL));
	CHECK_EQ(hdr.op, op);
	return hdr;
}

maybe_unused static void expect_silence(void)
{
	struct vsock_hdr hdr;

	settle();
	CHECK(!next_packet(&hdr, NULL));
}

/* Puts a packet into the queue; data stand at DATA_AT. */
maybe_unused static void queue_packet(const struct vsock_hdr *hdr)
{
	uint16_t n = (uint16_t)(tx_next % (Q_SIZE / 2) * 2);
	unsigned at = TX_AT + 64U * n;

	memcpy(ram + at, hdr, VSOCK_HDR_SIZE);
	desc(Q_DESC + RING * TX, n, at, VSOCK_HDR_SIZE, hdr->len ? NEXT : 0, (uint16_t)(n + 1));
	desc(Q_DESC + RING * TX, n + 1U, DATA_AT, hdr->len, 0, 0);
	offer_to(TX, n);
	tx_next++;
}

maybe_unused static struct vsock_hdr packet(unsigned op, uint32_t guest, uint32_t host)
{
	return (struct vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest,
		.dst_port = host,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = 262144,
	};
}

maybe_unused static void send_packet(const struct vsock_hdr *hdr)
{
	uint32_t head, len;

	queue_packet(hdr);
	kick_queue(TX);
	CHECK(take_from(TX, &head, &len));
	CHECK_EQ(len, 0);
}

maybe_unused static void send_op(unsigned op, uint32_t guest, uint32_t host)
{
	struct vsock_hdr hdr = packet(op, guest, host);

	send_packet(&hdr);
}

maybe_unused static void send_shutdown(uint32_t guest, uint32_t host, unsigned flags)
{
	struct vsock_hdr hdr = packet(VSOCK_OP_SHUTDOWN, guest, host);

	hdr.flags = flags;
	send_packet(&hdr);
}

maybe_unused static void send_data(uint32_t guest, uint32_t host, const void *data, uint32_t len)
{
	struct vsock_hdr hdr = packet(VSOCK_OP_RW, guest, host);

	hdr.len = len;
	memcpy(ram + DATA_AT, data, len);
	send_packet(&hdr);
}

/* --- the host's programs --------------------------------------------------------------- */

maybe_unused static int host_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", uds);
	CHECK(fd >= 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

maybe_unused static int host_listen(uint32_t port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", uds, port);
	CHECK(fd >= 0);
	unlink(addr.sun_path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 128), 0);
	return fd;
}

maybe_unused static void host_write(int fd, const void *data, size_t len)
{
	CHECK_EQ(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* What there is to read, or -errno; 0: the end. */
maybe_unused static ssize_t host_read(int fd, void *data, size_t len)
{
	ssize_t n = recv(fd, data, len, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

maybe_unused static void expect_text(int fd, const char *text)
{
	char got[128] = "";

	settle();
	CHECK_EQ(host_read(fd, got, sizeof(got) - 1), (ssize_t)strlen(text));
	CHECK_EQ(strcmp(got, text), 0);
}

maybe_unused static void expect_end(int fd)
{
	char got;

	settle();
	CHECK_EQ(host_read(fd, &got, 1), 0);
}

/* Whether the other side has closed, if with what it was sent unread. */
maybe_unused static bool is_closed(int fd)
{
	char got;
	ssize_t n = host_read(fd, &got, 1);

	return n == 0 || n == -ECONNRESET;
}

/* --- both ------------------------------------------------------------------------------- */

struct pair { /* an open connection */
	int fd;
	uint32_t host, guest; /* ports */
};

/* The host connects to a port, and the guest accepts. */
maybe_unused static struct pair open_from_host(uint32_t port)
{
	struct pair p = { .fd = host_connect(), .guest = port };
	struct vsock_hdr hdr;
	char text[64];

	snprintf(text, sizeof(text), "CONNECT %u\n", port);
	host_write(p.fd, text, strlen(text));
	hdr = expect(VSOCK_OP_REQUEST);
	CHECK_EQ(hdr.dst_port, port);
	p.host = hdr.src_port;
	send_op(VSOCK_OP_RESPONSE, port, p.host);
	snprintf(text, sizeof(text), "OK %u\n", p.host);
	expect_text(p.fd, text);
	return p;
}

/* The guest connects to a port that a program listens on. */
maybe_unused static struct pair open_from_guest(uint32_t guest, int listen_fd, uint32_t port)
{
	struct pair p = { .guest = guest, .host = port };
	struct vsock_hdr hdr;

	send_op(VSOCK_OP_REQUEST, guest, port);
	hdr = expect(VSOCK_OP_RESPONSE);
	CHECK_EQ(hdr.src_port, port);
	CHECK_EQ(hdr.dst_port, guest);
	p.fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(p.fd >= 0);
	return p;
}

#define COUNT(name) counter_get(&vsock_metrics(dev)->name)

/* Whether the loop would sleep now: nothing is ready, and nothing queued. */
maybe_unused static bool is_quiet(void)
{
	struct epoll_event ev;

	settle();
	return epoll_wait(loop.epfd, &ev, 1, 0) == 0 && !loop.tasks;
}

/* --- the device -------------------------------------------------------------------------- */

maybe_unused static void make_folder(void)
{
	strcpy(folder, "/tmp/wisp-vsock-XXXXXX");
	CHECK(mkdtemp(folder) != NULL);
	snprintf(uds, sizeof(uds), "%s/v.sock", folder);
}

maybe_unused static void remove_folder(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	CHECK_EQ(system(command), 0);
}

/* All but DRIVER_OK. */
maybe_unused static void begin_to_drive(uint64_t f)
{
	memset(ram, 0, RX_AT);
	memset(taken, 0, sizeof(taken));
	tx_next = 0;
	to_features_ok(f);
	for (unsigned q = 0; q < 3; q++) {
		wr(R_QUEUE_SEL, q);
		wr(R_QUEUE_NUM, Q_SIZE);
		wr(R_DESC, Q_DESC + RING * q);
		wr(R_AVAIL, Q_AVAIL + RING * q);
		wr(R_USED, Q_USED + RING * q);
		wr(R_QUEUE_READY, 1);
	}
}

maybe_unused static void drive(uint64_t f)
{
	begin_to_drive(f);
	wr(R_STATUS, RUN);
	CHECK_EQ(rd(R_STATUS), RUN);
	settle();
}

maybe_unused static void make_device(void)
{
	struct vsock_cfg cfg = { .guest_cid = CID, .uds_path = uds, .loop = &loop };
	struct err e;

	plug_loop();
	if (listener.fd <= 0)
		CHECK_EQ(vsock_listen(uds, &listener, &e), 0);
	cfg.listen_fd = listener.fd;
	CHECK_EQ(vsock_create(&cfg, &dev, &e), 0);
	plug(dev);
}

/* A guest that runs, with all its receive buffers given. */
maybe_unused static void plug_vsock(void)
{
	make_folder();
	make_device();
	drive(0);
	give_rx_all();
}

maybe_unused static void unplug_vsock(void)
{
	unplug();
	vsock_unlisten(&listener);
	remove_folder();
}
