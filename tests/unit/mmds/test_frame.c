/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: whom they are for, and every length and field in them that may lie. */
#include "mmds/frame.h"

#include "mmds/client.h"

#define IP MMDS_IPV4_DEFAULT

static struct frame_peer peer;
static struct frame_segment segment;
static uint16_t port;
static uint8_t frame[70000];

static enum frame_kind parse(size_t len)
{
	/* In an object of just this size, so that a sanitizer sees the byte after it. */
	autofree uint8_t *copy = malloc(len > 0 ? len : 1);
	enum frame_kind kind;

	memcpy(copy, frame, len);
	kind = frame_parse(copy, len, IP, &peer, &segment, &port);
	if (kind == FRAME_SEGMENT && segment.len > 0)
		CHECK(segment.data >= copy && segment.data + segment.len <= copy + len);
	return kind;
}

static size_t make(const void *options, size_t noptions, const char *data)
{
	struct client c = { .ip = 0x01020304, .port = 5, .to_port = 80, .window = 77 };

	return client_frame(&c, frame, 6, 7, C_PSH | C_ACK, options, noptions, data, strlen(data));
}

/* After a change of the IPv4 header. */
static void fix_checksum(void)
{
	size_t header = (size_t)(frame[14] & 15) * 4;

	client_put16(frame + 24, 0);
	client_put16(frame + 24, ~client_sum(frame + 14, header, 0) & 0xffff);
}

static size_t make_arp(void)
{
	memset(frame, 0, 60);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, client_mac, 6);
	client_put16(frame + 12, 0x0806);
	client_put16(frame + 14, 1);
	client_put16(frame + 16, 0x0800);
	client_put16(frame + 18, 0x0604);
	client_put16(frame + 20, 1);
	memcpy(frame + 22, client_mac, 6);
	client_put32(frame + 28, 0x0a000002);
	client_put32(frame + 38, IP);
	return 42;
}

TEST(whom_a_frame_is_for)
{
	size_t len = make(NULL, 0, "x");

	for (size_t n = 0; n <= len; n++)
		CHECK_EQ(frame_is_for(frame, n, IP), n >= 34);
	CHECK(!frame_is_for(frame, len, IP + 1));
	client_put16(frame + 12, 0x86dd);
	CHECK(!frame_is_for(frame, len, IP));
	make_arp();
	for (size_t n = 0; n <= 60; n++)
		CHECK_EQ(frame_is_for(frame, n, IP), n >= 42);
	CHECK(!frame_is_for(frame, 42, IP - 1));
}

TEST(a_segment)
{
	size_t len = make(NULL, 0, "hello");

	CHECK_EQ(parse(len), FRAME_SEGMENT);
	CHECK(memcmp(peer.mac, client_mac, 6) == 0);
	CHECK_EQ(peer.ip, 0x01020304);
	CHECK_EQ(peer.port, 5);
	CHECK_EQ(port, 80);
	CHECK_EQ(segment.seq, 6);
	CHECK_EQ(segment.ack, 7);
	CHECK_EQ(segment.flags, FRAME_PSH | FRAME_ACK);
	CHECK_EQ(segment.window, 77);
	CHECK_EQ(segment.mss, 0);
	CHECK_EQ(segment.len, 5);
	/* Filled up to the smallest frame. */
	CHECK_EQ(parse(len + 30), FRAME_SEGMENT);
	CHECK_EQ(segment.len, 5);
}

TEST(cut_short_anywhere)
{
	size_t len = make(NULL, 0, "hello");

	for (size_t n = 0; n < len; n++)
		CHECK_EQ(parse(n), n < 14 ? FRAME_BAD : FRAME_MALFORMED);
	len = make_arp();
	for (size_t n = 0; n < len; n++)
		CHECK_EQ(parse(n), n < 14 ? FRAME_BAD : FRAME_MALFORMED);
}

TEST(lengths_in_the_ipv4_header)
{
	size_t len = make(NULL, 0, "hello");

	for (unsigned total = 0; total < 100; total++) {
		make(NULL, 0, "hello");
		client_put16(frame + 16, total);
		fix_checksum();
		CHECK_EQ(parse(len), total >= 40 && total <= 45 ? FRAME_SEGMENT : FRAME_MALFORMED);
		if (total >= 40 && total <= 45)
			CHECK_EQ(segment.len, total - 40);
	}
	for (unsigned words = 0; words < 16; words++) {
		make(NULL, 0, "hello");
		frame[14] = (uint8_t)(0x40 | words);
		fix_checksum();
		if (words != 5)
			CHECK_EQ(parse(len), FRAME_MALFORMED);
	}
}

TEST(options_of_ipv4_are_skipped)
{
	size_t len = make(NULL, 0, "hello");

	memmove(frame + 34 + 8, frame + 34, len - 34);
	memset(frame + 34, 1, 8);
	frame[14] = 0x47;
	client_put16(frame + 16, (unsigned)len - 14 + 8);
	fix_checksum();
	CHECK_EQ(parse(len + 8), FRAME_SEGMENT);
	CHECK_EQ(segment.len, 5);
	CHECK_EQ(segment.seq, 6);
}

TEST(what_is_no_packet_of_ours)
{
	size_t len = make(NULL, 0, "x");

	frame[25] ^= 1;
	CHECK_EQ(parse(len), FRAME_MALFORMED); /* checksum */
	make(NULL, 0, "x");
	frame[14] = 0x65;
	fix_checksum();
	CHECK_EQ(parse(len), FRAME_MALFORMED); /* version */
	make(NULL, 0, "x");
	client_put32(frame + 30, IP + 1);
	fix_checksum();
	CHECK_EQ(parse(len), FRAME_MALFORMED);
	make(NULL, 0, "x");
	frame[23] = 17;
	fix_checksum();
	CHECK_EQ(parse(len), FRAME_UNUSUAL);
	make(NULL, 0, "x");
	client_put16(frame + 20, 0x4000); /* must not be cut: fine */
	fix_checksum();
	CHECK_EQ(parse(len), FRAME_SEGMENT);
	frame[6] |= 1; /* from a group */
	CHECK_EQ(parse(len), FRAME_BAD);
	make(NULL, 0, "x");
	client_put16(frame + 12, 0x86dd);
	CHECK_EQ(parse(len), FRAME_BAD);
}

TEST(parts_of_a_packet)
{
	static const struct {
		unsigned field;
		size_t at;
		bool more;
	} rows[] = {
		{ 0x2000, 0, true },	   { 1, 8, false },	    { 0x2001, 8, true },
		{ 0x1fff, 65528, false },  { 0x3fff, 65528, true }, { 0x6000, 0, true },
		{ 0xc000 | 6, 48, false },
	};
	size_t len = make(NULL, 0, "hello");

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct frame_fragment part;

		client_put16(frame + 18, 0xabcd);
		client_put16(frame + 20, rows[i].field);
		fix_checksum();
		CHECK_EQ(parse(len + 9), FRAME_FRAGMENT);
		CHECK(memcmp(peer.mac, client_mac, 6) == 0);
		CHECK_EQ(peer.ip, 0x01020304);
		frame_get_fragment(frame, &part);
		CHECK_EQ(part.id, 0xabcd);
		CHECK_EQ(part.at, rows[i].at);
		CHECK_EQ(part.more, rows[i].more);
		CHECK(part.data == frame + 34);
		CHECK_EQ(part.len, 25);
	}
	frame[23] = 17;
	fix_checksum();
	CHECK_EQ(parse(len), FRAME_UNUSUAL);
}

/* Behind the longest header, and behind the shortest nothing at all. */
TEST(parts_and_the_length_of_their_header)
{
	struct frame_fragment part;

	make(NULL, 0, "hello");
	client_put16(frame + 16, 61);
	client_put16(frame + 20, 0x2000);
	frame[14] = 0x4f;
	fix_checksum();
	CHECK_EQ(parse(14 + 61), FRAME_FRAGMENT);
	frame_get_fragment(frame, &part);
	CHECK(part.data == frame + 14 + 60);
	CHECK_EQ(part.len, 1);
	client_put16(frame + 16, 20);
	frame[14] = 0x45;
	fix_checksum();
	CHECK_EQ(parse(34), FRAME_FRAGMENT);
	frame_get_fragment(frame, &part);
	CHECK_EQ(part.len, 0);
}

/* Put together again it is the same segment, if its checksum says so. */
TEST(a_segment_that_came_in_parts)
{
	static uint8_t part[64];
	size_t len = make(NULL, 0, "hello");

	client_part(part, frame, len, 1, 0, 24); /* finishes the checksum */
	CHECK_EQ(parse(len), FRAME_SEGMENT);
	peer.port = port = 0;
	segment = (struct frame_segment){ 0 };
	CHECK_EQ(frame_parse_whole(frame + 34, len - 34, IP, &peer, &segment, &port),
		 FRAME_SEGMENT);
	CHECK_EQ(peer.port, 5);
	CHECK_EQ(port, 80);
	CHECK_EQ(segment.seq, 6);
	CHECK_EQ(segment.len, 5);
	CHECK(memcmp(segment.data, "hello", 5) == 0);
	for (size_t at = 34; at < len; at++) {
		frame[at] ^= 1;
		CHECK_EQ(frame_parse_whole(frame + 34, len - 34, IP, &peer, &segment, &port),
			 FRAME_MALFORMED);
		frame[at] ^= 1;
	}
	/* The addresses and the length are in it. */
	CHECK_EQ(frame_parse_whole(frame + 34, len - 34, IP + 1, &peer, &segment, &port),
		 FRAME_MALFORMED);
	peer.ip++;
	CHECK_EQ(frame_parse_whole(frame + 34, len - 34, IP, &peer, &segment, &port),
		 FRAME_MALFORMED);
	peer.ip--;
	CHECK_EQ(frame_parse_whole(frame + 34, len - 35, IP, &peer, &segment, &port),
		 FRAME_MALFORMED);
}

/* Every length that is shorter than a header, with a checksum that is right for it. */
TEST(a_short_segment_that_came_in_parts)
{
	peer.ip = 0x01020304;
	for (size_t n = 1; n < 20; n++) {
		autofree uint8_t *tcp = calloc(1, n);
		unsigned sum;

		make(NULL, 0, "");
		sum = client_sum(frame + 26, 8, 6 + (unsigned)n);
		if (n > 17)
			client_put16(tcp + 16, ~sum & 0xffff);
		else if (n > 1)
			client_put16(tcp, ~sum & 0xffff);
		CHECK_EQ(frame_parse_whole(tcp, n, IP, &peer, &segment, &port), FRAME_MALFORMED);
	}
}

TEST(length_of_the_tcp_header)
{
	size_t len = make(NULL, 0, "hello");

	for (unsigned words = 0; words < 16; words++) {
		make(NULL, 0, "hello");
		frame[46] = (uint8_t)(words << 4);
		if (words == 5)
			CHECK_EQ(parse(len), FRAME_SEGMENT);
		else if (words == 6) /* five bytes of data: one word of it taken for options */
			CHECK(parse(len) == FRAME_SEGMENT || parse(len) == FRAME_MALFORMED);
		else
			CHECK_EQ(parse(len), FRAME_MALFORMED);
	}
}

/* Each list of options: whether it is sound, and the segment size in it. */
TEST(options_of_tcp)
{
	static const struct {
		uint8_t options[12];
		unsigned len;
		bool sound;
		unsigned mss;
	} rows[] = {
		{ { 2, 4, 0x05, 0xb4 }, 4, true, 1460 },
		{ { 1, 1, 2, 4, 0x00, 0x40, 0, 0 }, 8, true, 64 },
		{ { 2, 4, 0x05, 0xb4, 1, 3, 3, 7, 4, 2, 0, 0 }, 12, true, 1460 },
		{ { 0, 2, 4, 5 }, 4, true, 0 }, /* the end comes first */
		{ { 1, 1, 1, 1 }, 4, true, 0 },
		{ { 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0 }, 12, true, 0 },
		{ { 254, 4, 9, 9 }, 4, true, 0 },
		{ { 2, 4, 0, 0 }, 4, true, 0 },
		{ { 2, 0, 0, 0 }, 4, false, 0 }, /* no end */
		{ { 2, 1, 0, 0 }, 4, false, 0 },
		{ { 2, 3, 5, 0 }, 4, false, 0 },
		{ { 2, 5, 5, 0, 0, 0, 0, 0 }, 8, false, 0 },
		{ { 2, 255, 0, 0 }, 4, false, 0 },
		{ { 1, 1, 2, 4 }, 4, false, 0 }, /* over the end */
		{ { 1, 1, 1, 2 }, 4, false, 0 }, /* no length */
		{ { 1, 1, 1, 99 }, 4, false, 0 },
		{ { 99, 5, 0, 0 }, 4, false, 0 },
		{ { 99, 3, 0, 2 }, 4, false, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = make(rows[i].options, rows[i].len, "data");

		CHECK_EQ(parse(len), rows[i].sound ? FRAME_SEGMENT : FRAME_MALFORMED);
		if (!rows[i].sound)
			continue;
		CHECK_EQ(segment.mss, rows[i].mss);
		CHECK_EQ(segment.len, 4);
	}
}

TEST(the_largest_frame)
{
	static char data[65535 - 40 + 1];

	memset(data, 'x', sizeof(data) - 1);
	CHECK_EQ(parse(make(NULL, 0, data)), FRAME_SEGMENT);
	CHECK_EQ(segment.len, 65535 - 40);
}

TEST(arp_requests)
{
	uint8_t reply[FRAME_ARP];

	CHECK_EQ(parse(make_arp()), FRAME_ARP_REQUEST);
	CHECK_EQ(peer.ip, 0x0a000002);
	CHECK_EQ(frame_write_arp_reply(reply, IP, &peer), 42);
	CHECK(memcmp(reply, client_mac, 6) == 0 && memcmp(reply + 6, service_mac, 6) == 0);
	CHECK_EQ(client_get16(reply + 12), 0x0806);
	CHECK(memcmp(reply + 14, "\0\1\x08\0\6\4\0\2", 8) == 0);
	CHECK(memcmp(reply + 22, service_mac, 6) == 0);
	CHECK_EQ(client_get32(reply + 28), IP);
	CHECK(memcmp(reply + 32, client_mac, 6) == 0);
	CHECK_EQ(client_get32(reply + 38), 0x0a000002);
}

TEST(other_arp)
{
	static const uint8_t at[] = { 15, 16, 18, 19, 41 };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		make_arp();
		frame[at[i]] ^= 4;
		CHECK_EQ(parse(42), FRAME_MALFORMED);
	}
	make_arp();
	frame[21] = 2; /* a reply */
	CHECK_EQ(parse(42), FRAME_UNUSUAL);
}
