/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet frames to ARP requests and TCP segments, and back. What a guest sent is a
 * copy, and every length in it is checked against what is there before it is used.
 *
 * Checksums of TCP are not looked at: between two ends of one memory nothing is damaged,
 * and a driver that offloads them leaves them unfinished. That of a segment in parts is:
 * it is finished, and says that the parts are of one segment. Addresses of IPv4 are
 * numbers (169.254.169.254 is 0xa9fea9fe).
 */
#pragma once

#include "base/cc.h"

enum {
	FRAME_HEADERS = 14 + 20 + 20, /* Ethernet, IPv4, TCP: of a segment that is sent */
	FRAME_ARP = 14 + 28,
	FRAME_MAC = 6,
};

enum frame_flags { /* RFC 9293, 3.1 */
		   FRAME_FIN = 1,
		   FRAME_SYN = 2,
		   FRAME_RST = 4,
		   FRAME_PSH = 8,
		   FRAME_ACK = 16,
};

/* Either end of what is sent: the service is always the other one. */
struct frame_peer {
	uint8_t mac[FRAME_MAC];
	uint32_t ip;
	uint16_t port;
};

struct frame_segment {
	uint32_t seq, ack;
	uint16_t window;
	uint16_t mss;  /* option of a SYN; 0: none */
	uint8_t flags; /* of enum frame_flags; others are left out */
	const uint8_t *data;
	size_t len;
};

/* A part of a packet of TCP. */
struct frame_fragment {
	uint16_t id; /* of the packet, among those of its sender */
	size_t at;   /* where in the packet it begins */
	bool more;   /* it is not the packet's end */
	const uint8_t *data;
	size_t len;
};

/* Whether the frame, of which `head' may be only the beginning, is for this address. */
must_check bool frame_is_for(const uint8_t *head, size_t len, uint32_t ip);

enum frame_kind {
	FRAME_BAD,	 /* no frame at all */
	FRAME_MALFORMED, /* a length or a field in it is wrong */
	FRAME_UNUSUAL,	 /* sound, and nothing that is served */
	FRAME_ARP_REQUEST,
	FRAME_SEGMENT,
	FRAME_FRAGMENT,
};

/*
 * What the frame is. Of a request for our MAC and of a fragment *peer is filled, but for
 * the port; of a segment everything, with data that points into the frame, and *ret_port,
 * its target.
 */
must_check enum frame_kind frame_parse(const uint8_t *frame, size_t len, uint32_t ip,
				       struct frame_peer *peer, struct frame_segment *segment,
				       uint16_t *ret_port);

/* Of a frame that was parsed to be one. Its data point into the frame. */
void frame_get_fragment(const uint8_t *frame, struct frame_fragment *fragment);

/* The same as of a frame, of the segment that came in parts from *peer, which gets its port. */
must_check enum frame_kind frame_parse_whole(const uint8_t *tcp, size_t len, uint32_t ip,
					     struct frame_peer *peer, struct frame_segment *segment,
					     uint16_t *ret_port);

/* Write a frame of the service to a peer; the length. There is room. */
size_t frame_write_arp_reply(uint8_t *to, uint32_t ip, const struct frame_peer *peer);

/* `len' bytes of data stand behind the FRAME_HEADERS already; with an mss there are none. */
size_t frame_write_segment(uint8_t *to, uint32_t ip, uint16_t port, const struct frame_peer *peer,
			   const struct frame_segment *segment);
