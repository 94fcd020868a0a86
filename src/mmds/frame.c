/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/frame.h"

#include <string.h>

/* Offsets and values of RFC 894, RFC 826, RFC 791 and RFC 9293. */
enum {
	ETH_SRC = 6,
	ETH_TYPE = 12,
	ETH_LEN = 14,
	TYPE_IPV4 = 0x0800,
	TYPE_ARP = 0x0806,

	ARP_HTYPE = 0,
	ARP_PTYPE = 2,
	ARP_SIZES = 4,
	ARP_OP = 6,
	ARP_SHA = 8,
	ARP_SPA = 14,
	ARP_THA = 18,
	ARP_TPA = 24,
	ARP_LEN = 28,
	ARP_ETHERNET = 1,
	ARP_IS_REQUEST = 1,
	ARP_IS_REPLY = 2,

	IP_TOTAL = 2,
	IP_ID = 4,
	IP_FRAGMENT = 6,
	IP_TTL = 8,
	IP_PROTOCOL = 9,
	IP_CHECKSUM = 10,
	IP_SRC = 12,
	IP_DST = 16,
	IP_LEN = 20,
	IP_DONT_FRAGMENT = 0x4000,
	IP_MORE_FRAGMENTS = 0x2000,
	IP_OFFSET = 0x1fff, /* in units of eight bytes */
	PROTOCOL_TCP = 6,
	TTL = 1, /* contract, 4.1: an answer goes no further than the guest */

	TCP_DST = 2,
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_LEN = 20,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_MSS_LEN = 4,
};

static const uint8_t our_mac[FRAME_MAC] = { 0x06, 0x01, 0x23, 0x45, 0x67, 0x01 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* Sum of 16-bit words (RFC 1071); at most 64 KiB of them, so that it cannot wrap. */
static uint32_t add_words(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len > 1; len -= 2, p += 2)
		sum += get16(p);
	return len > 0 ? sum + (uint32_t)(p[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* --- reading -------------------------------------------------------------------- */

bool frame_is_for(const uint8_t *head, size_t len, uint32_t ip)
{
	if (len < ETH_LEN)
		return false;
	switch (get16(head + ETH_TYPE)) {
	case TYPE_ARP:
		return len >= ETH_LEN + ARP_LEN && get32(head + ETH_LEN + ARP_TPA) == ip;
	case TYPE_IPV4:
		return len >= ETH_LEN + IP_LEN && get32(head + ETH_LEN + IP_DST) == ip;
	default:
		return false;
	}
}

static enum frame_kind parse_arp(const uint8_t *arp, size_t len, uint32_t ip,
				 struct frame_peer *peer)
{
	if (len < ARP_LEN || get16(arp + ARP_HTYPE) != ARP_ETHERNET ||
	    get16(arp + ARP_PTYPE) != TYPE_IPV4 || get16(arp + ARP_SIZES) != (FRAME_MAC << 8 | 4) ||
	    get32(arp + ARP_TPA) != ip)
		return FRAME_MALFORMED;
	if (get16(arp + ARP_OP) != ARP_IS_REQUEST)
		return FRAME_UNUSUAL;
	memcpy(peer->mac, arp + ARP_SHA, FRAME_MAC);
	peer->ip = get32(arp + ARP_SPA);
	return FRAME_ARP_REQUEST;
}

/* The maximum segment size among a header's options; false when one runs over their end. */
static bool parse_options(const uint8_t *options, size_t len, struct frame_segment *segment)
{
	size_t at = 0;

	while (at < len && options[at] != OPTION_END) {
		uint8_t size;

		if (options[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (len - at < 2)
			return false;
		size = options[at + 1];
		if (size < 2 || size > len - at)
			return false;
		if (options[at] == OPTION_MSS) {
			if (size != OPTION_MSS_LEN)
				return false;
			segment->mss = get16(options + at + 2);
		}
		at += size;
	}
	return true;
}

static enum frame_kind parse_tcp(const uint8_t *tcp, size_t len, struct frame_peer *peer,
				 struct frame_segment *segment, uint16_t *ret_port)
{
	size_t header;

	if (len < TCP_LEN)
		return FRAME_MALFORMED;
	header = (size_t)(tcp[TCP_OFFSET] >> 4) * 4;
	if (header < TCP_LEN || header > len)
		return FRAME_MALFORMED;
	*segment = (struct frame_segment){
		.seq = get32(tcp + TCP_SEQ),
		.ack = get32(tcp + TCP_ACK),
		.window = get16(tcp + TCP_WINDOW),
		.flags = tcp[TCP_FLAGS] &
			 (FRAME_FIN | FRAME_SYN | FRAME_RST | FRAME_PSH | FRAME_ACK),
		.data = tcp + header,
		.len = len - header,
	};
	if (!parse_options(tcp + TCP_LEN, header - TCP_LEN, segment))
		return FRAME_MALFORMED;
	peer->port = get16(tcp);
	*ret_port = get16(tcp + TCP_DST);
	return FRAME_SEGMENT;
}

static enum frame_kind parse_ipv4(const uint8_t *packet, size_t len, uint32_t ip,
				  struct frame_peer *peer, struct frame_segment *segment,
				  uint16_t *ret_port)
{
	size_t header, total;

	if (len < IP_LEN || packet[0] >> 4 != 4)
		return FRAME_MALFORMED;
	header = (size_t)(packet[0] & 15) * 4;
	total = get16(packet + IP_TOTAL);
	/* The frame may be longer than the packet: it may have been filled up. */
	if (header < IP_LEN || total < header || total > len || get32(packet + IP_DST) != ip ||
	    fold(add_words(0, packet, header)) != 0xffff)
		return FRAME_MALFORMED;
	if (packet[IP_PROTOCOL] != PROTOCOL_TCP)
		return FRAME_UNUSUAL;
	peer->ip = get32(packet + IP_SRC);
	if (get16(packet + IP_FRAGMENT) & (IP_MORE_FRAGMENTS | IP_OFFSET))
		return FRAME_FRAGMENT;
	return parse_tcp(packet + header, total - header, peer, segment, ret_port);
}

enum frame_kind frame_parse(const uint8_t *frame, size_t len, uint32_t ip, struct frame_peer *peer,
			    struct frame_segment *segment, uint16_t *ret_port)
{
	/* An answer to many at once is not given: the lowest bit of a MAC says group. */
	if (len < ETH_LEN || frame[ETH_SRC] & 1)
		return FRAME_BAD;
	memcpy(peer->mac, frame + ETH_SRC, FRAME_MAC);
	switch (get16(frame + ETH_TYPE)) {
	case TYPE_ARP:
		return parse_arp(frame + ETH_LEN, len - ETH_LEN, ip, peer);
	case TYPE_IPV4:
		return parse_ipv4(frame + ETH_LEN, len - ETH_LEN, ip, peer, segment, ret_port);
	default:
		return FRAME_BAD;
	}
}

void frame_get_fragment(const uint8_t *frame, struct frame_fragment *fragment)
{
	const uint8_t *packet = frame + ETH_LEN;
	size_t header = (size_t)(packet[0] & 15) * 4;
	uint16_t where = get16(packet + IP_FRAGMENT);

	*fragment = (struct frame_fragment){
		.id = get16(packet + IP_ID),
		.at = (size_t)(where & IP_OFFSET) * 8,
		.more = where & IP_MORE_FRAGMENTS,
		.data = packet + header,
		.len = get16(packet + IP_TOTAL) - header,
	};
}

/* With the pseudo-header: addresses, protocol, length. */
static uint16_t sum_tcp(const uint8_t *tcp, size_t len, uint32_t a, uint32_t b)
{
	uint8_t addresses[8];

	put32(addresses, a);
	put32(addresses + 4, b);
	return fold(add_words(add_words(PROTOCOL_TCP + (uint32_t)len, addresses, 8), tcp, len));
}

enum frame_kind frame_parse_whole(const uint8_t *tcp, size_t len, uint32_t ip,
				  struct frame_peer *peer, struct frame_segment *segment,
				  uint16_t *ret_port)
{
	if (sum_tcp(tcp, len, peer->ip, ip) != 0xffff)
		return FRAME_MALFORMED;
	return parse_tcp(tcp, len, peer, segment, ret_port);
}

/* --- writing -------------------------------------------------------------------- */

static uint8_t *write_ethernet(uint8_t *to, const struct frame_peer *peer, uint16_t type)
{
	memcpy(to, peer->mac, FRAME_MAC);
	memcpy(to + ETH_SRC, our_mac, FRAME_MAC);
	put16(to + ETH_TYPE, type);
	return to + ETH_LEN;
}

size_t frame_write_arp_reply(uint8_t *to, uint32_t ip, const struct frame_peer *peer)
{
	uint8_t *arp = write_ethernet(to, peer, TYPE_ARP);

	put16(arp + ARP_HTYPE, ARP_ETHERNET);
	put16(arp + ARP_PTYPE, TYPE_IPV4);
	put16(arp + ARP_SIZES, FRAME_MAC << 8 | 4);
	put16(arp + ARP_OP, ARP_IS_REPLY);
	memcpy(arp + ARP_SHA, our_mac, FRAME_MAC);
	put32(arp + ARP_SPA, ip);
	memcpy(arp + ARP_THA, peer->mac, FRAME_MAC);
	put32(arp + ARP_TPA, peer->ip);
	return FRAME_ARP;
}

static void write_ipv4(uint8_t *packet, uint32_t ip, const struct frame_peer *peer, size_t len)
{
	memset(packet, 0, IP_LEN);
	packet[0] = 4 << 4 | IP_LEN / 4;
	put16(packet + IP_TOTAL, (uint16_t)(IP_LEN + len));
	put16(packet + IP_FRAGMENT, IP_DONT_FRAGMENT);
	packet[IP_TTL] = TTL;
	packet[IP_PROTOCOL] = PROTOCOL_TCP;
	put32(packet + IP_SRC, ip);
	put32(packet + IP_DST, peer->ip);
	put16(packet + IP_CHECKSUM, (uint16_t)~fold(add_words(0, packet, IP_LEN)));
}

size_t frame_write_segment(uint8_t *to, uint32_t ip, uint16_t port, const struct frame_peer *peer,
			   const struct frame_segment *segment)
{
	uint8_t *packet = write_ethernet(to, peer, TYPE_IPV4), *tcp = packet + IP_LEN;
	size_t header = segment->mss ? TCP_LEN + OPTION_MSS_LEN : TCP_LEN;
	size_t len = header + segment->len;

	assert(segment->mss == 0 || segment->len == 0);
	write_ipv4(packet, ip, peer, len);
	memset(tcp, 0, header);
	put16(tcp, port);
	put16(tcp + TCP_DST, peer->port);
	put32(tcp + TCP_SEQ, segment->seq);
	put32(tcp + TCP_ACK, segment->ack);
	tcp[TCP_OFFSET] = (uint8_t)(header / 4 << 4);
	tcp[TCP_FLAGS] = segment->flags;
	put16(tcp + TCP_WINDOW, segment->window);
	if (segment->mss) {
		tcp[TCP_LEN] = OPTION_MSS;
		tcp[TCP_LEN + 1] = OPTION_MSS_LEN;
		put16(tcp + TCP_LEN + 2, segment->mss);
	}
	put16(tcp + TCP_CHECKSUM, (uint16_t)~sum_tcp(tcp, len, ip, peer->ip));
	return ETH_LEN + IP_LEN + len;
}
