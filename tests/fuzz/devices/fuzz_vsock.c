/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device between a guest and programs on the host, both of which are mostly
 * right. What one side sends the other receives, in order and unchanged; a packet that
 * is wild stops that check, and nothing else.
 */
#include "../ensure.h"
#include "devices/vsock_rig.h"
#include "script.h"

enum { STEPS = 64, PEERS = 6, TURNS = 6, HOST_PORT = 1, FIRST = 100 };

/* One of the host's programs; the guest's port is FIRST + its number. */
static struct peer {
	int fd; /* -1: none */
	uint32_t host;
	bool known; /* the guest has its connection */
	bool open;
	bool asked;		     /* it waits for the line that says so */
	uint32_t to_guest, at_guest; /* bytes written, bytes seen there */
	uint32_t to_host, at_host;
} peers[PEERS];

static int server = -1;
static bool wild; /* nobody can say any more what is to arrive */

static void turn(void)
{
	for (unsigned i = 0; i < TURNS; i++)
		CHECK_EQ(loop_turn(&loop, 0), 0);
}

static uint8_t byte_of(const struct peer *peer, uint32_t at)
{
	return (uint8_t)(at * 31 + at / 256 + (uint32_t)(peer - peers));
}

static void drop(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	*peer = (struct peer){ .fd = -1 };
}

/* --- the guest --------------------------------------------------------------------- */

static void push(struct vsock_hdr *hdr)
{
	uint32_t head, len;

	while (take_from(TX, &head, &len))
		;
	if ((uint16_t)(get16(Q_AVAIL + RING * TX + 2) - taken[TX]) >= Q_SIZE / 2)
		return; /* held back: the device has not taken those before */
	queue_packet(hdr);
	wr(R_NOTIFY, TX);
	turn();
}

static void guest_says(struct peer *peer, unsigned op, uint32_t len, uint32_t flags)
{
	struct vsock_hdr hdr = packet(op, FIRST + (uint32_t)(peer - peers), peer->host);

	hdr.len = len;
	hdr.flags = flags;
	hdr.fwd_cnt = peer->at_guest;
	push(&hdr);
}

static void guest_sends(struct peer *peer, uint32_t len)
{
	/* Credit: what the host has not read may be with us, but never more than 64 KiB. */
	if (!peer->open || len > 4096 || peer->to_host - peer->at_host + len > 65536)
		return;
	for (uint32_t i = 0; i < len; i++)
		ram[DATA_AT + i] = byte_of(peer, peer->to_host + i);
	peer->to_host += len;
	guest_says(peer, VSOCK_OP_RW, len, 0);
}

static void guest_takes(const struct vsock_hdr *hdr, const uint8_t *data)
{
	struct peer *peer;

	ENSURE(hdr->op >= VSOCK_OP_REQUEST && hdr->op <= VSOCK_OP_CREDIT_REQUEST);
	ENSURE(hdr->op == VSOCK_OP_RW ? hdr->len > 0 : hdr->len == 0);
	if (wild)
		return;
	ENSURE(hdr->src_cid == 2 && hdr->type == VSOCK_TYPE_STREAM);
	if (hdr->dst_port < FIRST || hdr->dst_port >= FIRST + PEERS)
		return;
	peer = &peers[hdr->dst_port - FIRST];
	if (hdr->op == VSOCK_OP_REQUEST) {
		peer->host = hdr->src_port;
		peer->known = true;
	} else if (hdr->src_port != peer->host) {
		return; /* of an earlier one */
	} else if (hdr->op == VSOCK_OP_RW) {
		for (uint32_t i = 0; i < hdr->len; i++)
			ENSURE(data[i] == byte_of(peer, peer->at_guest + i));
		peer->at_guest += hdr->len;
		ENSURE(peer->at_guest <= peer->to_guest);
	} else if (hdr->op == VSOCK_OP_RST) {
		peer->open = peer->known = false;
	}
}

/* Whether there was anything. */
static bool guest_reads(void)
{
	static uint8_t data[4096];
	struct vsock_hdr hdr;
	unsigned n = 0;

	for (; n < Q_SIZE && next_packet(&hdr, data); n++)
		guest_takes(&hdr, data);
	wr(R_NOTIFY, RX);
	turn();
	return n > 0;
}

static void guest_is_wild(struct script *s)
{
	struct vsock_hdr hdr = packet((unsigned)take(s, 1), FIRST + pick(s, PEERS), HOST_PORT);
	unsigned n = (unsigned)(tx_next % (Q_SIZE / 2) * 2);

	wild = true;
	hdr.len = (uint32_t)take(s, 3);
	hdr.flags = (uint32_t)take(s, 1);
	hdr.fwd_cnt = (uint32_t)take(s, 4);
	hdr.buf_alloc = (uint32_t)take(s, 4);
	if (rarely(s))
		hdr.src_cid = take(s, 8);
	if (rarely(s))
		hdr.dst_cid = take(s, 8);
	if (rarely(s))
		hdr.type = (uint16_t)take(s, 2);
	if (!rarely(s))
		hdr.dst_port = peers[pick(s, PEERS)].host;
	if (rarely(s)) {
		/* A chain that is broken in itself: seen by the next kick. */
		desc(Q_DESC + RING * TX, n, take(s, 8), (uint32_t)take(s, 4),
		     (uint16_t)(take(s, 1) & 7), (uint16_t)take(s, 2));
		offer_to(TX, (uint16_t)n);
		wr(R_NOTIFY, TX);
		turn();
		return;
	}
	push(&hdr);
}

/* --- the host -------------------------------------------------------------------------- */

static void host_connects(struct peer *peer, struct script *s)
{
	char line[40];
	int len;

	if (peer->fd >= 0)
		return;
	*peer = (struct peer){ .fd = host_connect(), .asked = true };
	len = snprintf(line, sizeof(line), "CONNECT %u\n", FIRST + (unsigned)(peer - peers));
	if (rarely(s))
		for (int i = 0; i < len; i++)
			line[i] = (char)take(s, 1);
	host_write(peer->fd, line, (size_t)len);
	turn();
}

static void host_sends(struct peer *peer, uint32_t len)
{
	static uint8_t data[8192];
	ssize_t n;

	if (peer->fd < 0 || !peer->open)
		return;
	len %= sizeof(data);
	for (uint32_t i = 0; i < len; i++)
		data[i] = byte_of(peer, peer->to_guest + i);
	n = send(peer->fd, data, len, MSG_NOSIGNAL);
	peer->to_guest += n > 0 ? (uint32_t)n : 0;
	turn();
}

static void host_reads(struct peer *peer)
{
	static uint8_t data[16384];
	ssize_t n;

	if (peer->fd < 0 || !peer->open)
		return;
	n = host_read(peer->fd, data, sizeof(data));
	for (ssize_t i = 0; i < n && !wild; i++)
		ENSURE(data[i] == byte_of(peer, peer->at_host + (uint32_t)i));
	peer->at_host += n > 0 ? (uint32_t)n : 0;
	ENSURE(wild || peer->at_host <= peer->to_host);
	turn();
}

/* The line that says that the guest has accepted. */
static void host_hears(struct peer *peer)
{
	char got[32] = "", want[32];
	int len = snprintf(want, sizeof(want), "OK %u\n", peer->host);

	if (recv(peer->fd, got, (size_t)len, MSG_DONTWAIT) != len)
		return;
	ENSURE(wild || strcmp(got, want) == 0);
	peer->open = true;
	peer->asked = false;
}

static void guest_connects(struct peer *peer)
{
	int fd;

	if (peer->fd >= 0)
		return;
	while (guest_reads()) /* what is left of an earlier connection of this name */
		;
	*peer = (struct peer){ .fd = -1, .host = HOST_PORT };
	guest_says(peer, VSOCK_OP_REQUEST, 0, 0);
	fd = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	peer->fd = fd;
	peer->open = peer->known = fd >= 0;
}

/* --- both --------------------------------------------------------------------------------- */

static void begin(void)
{
	for (unsigned i = 0; i < PEERS; i++)
		drop(&peers[i]);
	wild = false;
	if (dev && rd(R_STATUS) != 0)
		wr(R_STATUS, 0);
	turn();
	drive(0);
	for (uint16_t n = 0; n < Q_SIZE / 2; n++)
		give_rx(n);
	wr(R_NOTIFY, RX);
	turn();
}

static void step(struct script *s)
{
	struct peer *peer = &peers[pick(s, PEERS)];

	switch (pick(s, 16)) {
	case 0:
	case 1:
		host_connects(peer, s);
		break;
	case 2:
		guest_connects(peer);
		break;
	case 3:
		if (peer->known && !peer->open)
			guest_says(peer, VSOCK_OP_RESPONSE, 0, 0);
		if (peer->asked)
			host_hears(peer);
		break;
	case 4:
	case 5:
		guest_sends(peer, (uint32_t)take(s, 2));
		break;
	case 6:
	case 7:
		host_sends(peer, (uint32_t)take(s, 2));
		break;
	case 8:
	case 9:
		(void)guest_reads();
		break;
	case 10:
		host_reads(peer);
		break;
	case 11:
		if (peer->known)
			guest_says(peer, VSOCK_OP_SHUTDOWN, 0, (uint32_t)take(s, 1) & 3);
		break;
	case 12:
		if (peer->fd >= 0)
			shutdown(peer->fd, (int)pick(s, 3));
		turn();
		break;
	case 13:
		drop(peer);
		turn();
		break;
	case 14:
		vdev_pause(dev);
		turn();
		vdev_resume(dev);
		turn();
		break;
	default:
		if (rarely(s))
			guest_is_wild(s);
		else if (peer->known)
			guest_says(peer,
				   pick(s, 2) ? VSOCK_OP_CREDIT_UPDATE : VSOCK_OP_CREDIT_REQUEST, 0,
				   0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };

	if (!dev) {
		make_folder();
		make_device();
		for (unsigned i = 0; i < PEERS; i++)
			peers[i].fd = -1;
		server = host_listen(HOST_PORT);
		atexit(remove_folder);
	}
	begin();
	for (unsigned i = 0; i < STEPS && s.left > 0; i++)
		step(&s);
	CHECK(vdev_idle(dev));
	for (int fd; (fd = accept(server, NULL, NULL)) >= 0;)
		close(fd);
	return 0;
}
