/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=vsock devices=vsock,block timeout=60 */
/*
 * Packets that make no sense get an OP_RST, one each and in order, however many there
 * are; broken rings stop the socket device and not the disk.
 */
#include "lib/virtio.h"

enum { RX, TX, EVENTS, QUEUES };
enum { DEVICE_VSOCK = 19, CID = 3, HOST = 2, STREAM = 1, BUFFERS = 8 };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_UPDATE, OP_ASK };

struct hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static struct queue q[QUEUES], disk_q;
static struct hdr tx[QUEUE_SIZE], rx[BUFFERS];
static uint8_t data[512] __attribute__((aligned(512)));
static uint16_t next_tx;
static uint64_t dev, disk;

static void kick(unsigned queue)
{
	write32(dev + REG_QUEUE_NOTIFY, queue);
}

static void offer(unsigned queue, uint16_t head)
{
	struct queue *at = &q[queue];

	at->avail.ring[at->avail.idx % QUEUE_SIZE] = head;
	__atomic_store_n(&at->avail.idx, (uint16_t)(at->avail.idx + 1), __ATOMIC_RELEASE);
}

static bool used(unsigned queue, uint32_t *head, uint32_t *len)
{
	struct queue *at = &q[queue];

	if (__atomic_load_n(&at->used.idx, __ATOMIC_ACQUIRE) == at->used_seen)
		return false;
	*head = at->used.ring[at->used_seen % QUEUE_SIZE].id;
	*len = at->used.ring[at->used_seen % QUEUE_SIZE].len;
	at->used_seen++;
	return true;
}

static void begin(void)
{
	virtio_negotiate(dev, 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		fill(&q[i], 0, sizeof(q[i]));
		virtio_set_queue(dev, i, &q[i]);
	}
	next_tx = 0;
	write32(dev + REG_STATUS, read32(dev + REG_STATUS) | STATUS_DRIVER_OK);
}

static void give(uint16_t n)
{
	q[RX].desc[n] = (struct desc){ (uint64_t)&rx[n], sizeof(rx[n]), DESC_WRITE, 0 };
	offer(RX, n);
}

static void give_all(void)
{
	for (uint16_t n = 0; n < BUFFERS; n++)
		give(n);
	kick(RX);
}

static struct hdr packet(uint16_t op)
{
	return (struct hdr){ .src_cid = CID,
			     .dst_cid = HOST,
			     .src_port = 1000,
			     .dst_port = 2000,
			     .type = STREAM,
			     .op = op,
			     .buf_alloc = 65536 };
}

/* Into the queue; the device is told. */
static void push(const struct hdr *hdr)
{
	uint16_t n = next_tx++ % QUEUE_SIZE;

	tx[n] = *hdr;
	q[TX].desc[n] = (struct desc){ (uint64_t)&tx[n], sizeof(tx[n]), 0, 0 };
	offer(TX, n);
	kick(TX);
}

static void send(const struct hdr *hdr)
{
	const uint64_t start = rdtsc();
	uint32_t head, len;

	push(hdr);
	while (!used(TX, &head, &len))
		CHECK(patient(start));
	CHECK_EQ(len, 0);
}

/* The next packet for us, which must be an OP_RST for this one. */
static void expect_rst(const struct hdr *of)
{
	const uint64_t start = rdtsc();
	uint32_t head, len;

	while (!used(RX, &head, &len))
		CHECK(patient(start));
	CHECK_EQ(len, sizeof(struct hdr));
	CHECK_EQ(rx[head].op, OP_RST);
	CHECK_EQ(rx[head].type, of->type);
	CHECK_EQ(rx[head].src_cid, of->dst_cid);
	CHECK_EQ(rx[head].dst_cid, CID);
	CHECK_EQ(rx[head].src_port, of->dst_port);
	CHECK_EQ(rx[head].dst_port, of->src_port);
	CHECK_EQ(rx[head].len, 0);
	give((uint16_t)head);
	kick(RX);
}

/* The device works: a request to a port that nobody listens on is answered. */
static void check_works(void)
{
	struct hdr hdr = packet(OP_REQUEST);

	send(&hdr);
	expect_rst(&hdr);
}

static void check_disk(void)
{
	CHECK_EQ(blk_request(disk, &disk_q, BLK_IN, 5, data, 512), BLK_OK);
	CHECK_EQ(read32((uint64_t)data), 5);
}

static void check_packets_for_nobody(void)
{
	static const uint64_t cids[] = { HOST, 0, 1, CID, 99, ~0ull };
	static const uint16_t types[] = { STREAM, 0, 2, 0xffff };
	static const uint32_t lens[] = { 0, 1, 65536, 65537, ~0u };

	for (uint16_t op = 0; op <= OP_ASK + 1; op++) {
		for (unsigned i = 0; i < sizeof(cids) / sizeof(cids[0]); i++) {
			for (unsigned k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
				struct hdr hdr = packet(op);

				hdr.dst_cid = cids[i];
				hdr.type = types[k];
				hdr.len = lens[(i + k) % (sizeof(lens) / sizeof(lens[0]))];
				hdr.src_port = op * 100u + i * 10 + k;
				send(&hdr);
				if (op != OP_RST)
					expect_rst(&hdr);
			}
		}
	}
	/* In somebody else's name: there is no answer, and the next one is to the next. */
	for (unsigned i = 0; i < sizeof(cids) / sizeof(cids[0]); i++) {
		struct hdr hdr = packet(OP_REQUEST);

		hdr.src_cid = cids[i] == CID ? CID + (1ull << 32) : cids[i];
		send(&hdr);
		check_works();
	}
}

/* More of them than the device remembers answers for, and no buffer for any. */
static void check_flood(void)
{
	enum { FLOOD = 1000 };
	unsigned sent = 0, answered = 0;
	uint32_t head, len;

	begin();
	while (answered < FLOOD) {
		while (used(TX, &head, &len))
			;
		if (sent < FLOOD && (uint16_t)(q[TX].avail.idx - q[TX].used_seen) < QUEUE_SIZE) {
			struct hdr hdr = packet(OP_RW);

			hdr.src_port = sent++;
			push(&hdr);
			continue;
		}
		/* It takes no more, or there are no more: now there are buffers. */
		if (answered == 0)
			give_all();
		struct hdr of = packet(OP_RW);

		of.src_port = answered++;
		expect_rst(&of);
	}
	while (used(TX, &head, &len))
		;
	CHECK_EQ(q[TX].used_seen, FLOOD);
}

/* Breaks the ring of the running device, sees that it stopped alone, revives it. */
static void check_broken(unsigned queue, struct desc first, struct desc second)
{
	struct hdr hdr = packet(OP_REQUEST);

	begin();
	if (queue != RX)
		give_all();
	tx[0] = hdr;
	q[queue].desc[0] = first;
	q[queue].desc[1] = second;
	offer(queue, 0);
	kick(queue);
	if (queue == RX) /* looked at when there is something for it */
		push(&hdr);
	virtio_await_status(dev, STATUS_NEEDS_RESET);
	check_disk();
	begin();
	give_all();
	check_works();
}

static void check_broken_rings(void)
{
	const uint64_t ok = (uint64_t)&tx[0], room = (uint64_t)&rx[0];
	const struct desc none = { 0 };

	check_broken(TX, (struct desc){ ok, 43, 0, 0 }, none);
	check_broken(TX, (struct desc){ ok, 0, 0, 0 }, none);
	check_broken(TX, (struct desc){ ok, 44, DESC_WRITE, 0 }, none);
	check_broken(TX, (struct desc){ ok, 44, DESC_NEXT, 1 },
		     (struct desc){ room, 44, DESC_WRITE, 0 });
	check_broken(TX, (struct desc){ ok, 44, DESC_NEXT, 1 },
		     (struct desc){ ok, 8, DESC_NEXT, 0 });
	check_broken(TX, (struct desc){ ok, 44, DESC_NEXT, QUEUE_SIZE }, none);
	check_broken(TX, (struct desc){ 1ull << 40, 44, 0, 0 }, none);
	check_broken(TX, (struct desc){ VIRTIO_BASE, 44, 0, 0 }, none);
	check_broken(TX, (struct desc){ ~0ull - 20, 44, 0, 0 }, none);
	check_broken(TX, (struct desc){ ok, 44, DESC_INDIRECT, 0 }, none);
	check_broken(RX, (struct desc){ room, 43, DESC_WRITE, 0 }, none);
	check_broken(RX, (struct desc){ room, 44, 0, 0 }, none);
	check_broken(RX, (struct desc){ VIRTIO_BASE, 44, DESC_WRITE, 0 }, none);
	check_broken(RX, (struct desc){ 1ull << 40, 4096, DESC_WRITE, 0 }, none);
}

void payload(void)
{
	dev = virtio_find(DEVICE_VSOCK, 0);
	disk = virtio_find(DEVICE_BLOCK, 0);
	virtio_start(disk, &disk_q, 0);
	begin();
	CHECK_EQ(read32(dev + REG_CONFIG), CID);
	give_all();
	check_works();
	check_packets_for_nobody();
	check_flood();
	check_broken_rings();
	check_disk();
}
