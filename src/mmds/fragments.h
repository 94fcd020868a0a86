/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that a guest sends in parts (RFC 791, 3.2): Linux cuts a segment of TCP in two
 * over an interface whose MTU is below 88, because it makes none for less than 48 bytes.
 *
 * A few packets at a time, each of the size that a host has to take; parts come in any
 * order. No byte is taken twice: parts that overlap end their packet, and TCP sends again.
 */
#pragma once

#include "base/clock.h"
#include "mmds/frame.h"

enum {
	FRAGMENTS_PACKETS_MAX = 4, /* one more takes the place of the oldest */
	FRAGMENTS_LEN_MAX = 556,   /* RFC 1122, 3.3.2: 576 bytes with the header */
	FRAGMENTS_MS = 60000,	   /* as there: how long a packet may be without an end */
	FRAGMENTS_UNIT = 8,	   /* what offsets count in */
};

struct fragments_packet {
	usec_t since; /* of the first part that came */
	uint32_t ip;
	uint16_t id;
	size_t have; /* bytes that have come; 0: the place is free */
	size_t end;  /* of the part that reaches furthest */
	size_t len;  /* 0: the last part has not come */
	bool came[FRAGMENTS_LEN_MAX / FRAGMENTS_UNIT + 1];
	uint8_t data[FRAGMENTS_LEN_MAX];
};

struct fragments { /* all zero at first */
	struct fragments_packet packets[FRAGMENTS_PACKETS_MAX];
};

/*
 * Takes a part of a packet from `ip'. The length of the whole, whose bytes *ret_data are
 * good until the next call; 0 while parts are missing; -EPROTO when it fits no packet.
 */
must_check int fragments_add(struct fragments *f, uint32_t ip, const struct frame_fragment *part,
			     usec_t now, const uint8_t **ret_data);
