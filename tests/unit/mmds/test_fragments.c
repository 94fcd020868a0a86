/* SPDX-License-Identifier: Apache-2.0 */
/* Packets from their parts: every order, every limit from both sides, every lie. */
#include "mmds/fragments.h"

#include <errno.h>
#include <string.h>

#include "test.h"

enum { IP = 0x01020304, MAX = FRAGMENTS_LEN_MAX };

static struct fragments fragments;
static usec_t now = 1000000;
static uint8_t bytes[MAX + 1];
static const uint8_t *whole;

/* Bytes `at' to `end' of a packet that is like no other. */
static int add_from(uint32_t ip, uint16_t id, size_t at, size_t end, bool more)
{
	/* In an object of just this size, so that a sanitizer sees the byte after it. */
	autofree uint8_t *copy = malloc(end - at + 1);
	struct frame_fragment part = { .id = id, .at = at, .more = more, .len = end - at };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + id + ip);
	if (at < sizeof(bytes))
		memcpy(copy + 1, bytes + at, end < sizeof(bytes) ? end - at : sizeof(bytes) - at);
	part.data = copy + 1;
	return fragments_add(&fragments, ip, &part, now, &whole);
}

static int add(uint16_t id, size_t at, size_t end, bool more)
{
	return add_from(IP, id, at, end, more);
}

static void expect_whole(int got, size_t len)
{
	CHECK_EQ(got, len);
	CHECK(memcmp(whole, bytes, len) == 0);
}

static unsigned held(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FRAGMENTS_PACKETS_MAX; i++)
		n += fragments.packets[i].have > 0;
	return n;
}

TEST(two_parts_at_every_cut_in_either_order)
{
	for (size_t cut = 8; cut < MAX; cut += 8) {
		CHECK_EQ(add(1, 0, cut, true), 0);
		expect_whole(add(1, cut, MAX, false), MAX);
		CHECK_EQ(add(2, cut, cut + 1, false), 0);
		expect_whole(add(2, 0, cut, true), cut + 1);
		CHECK_EQ(held(), 0);
	}
}

TEST(three_parts_in_every_order)
{
	static const unsigned at[] = { 0, 48, 96, 99 };
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		const unsigned *o = orders[i];

		CHECK_EQ(add(9, at[o[0]], at[o[0] + 1], o[0] < 2), 0);
		CHECK_EQ(add(9, at[o[1]], at[o[1] + 1], o[1] < 2), 0);
		expect_whole(add(9, at[o[2]], at[o[2] + 1], o[2] < 2), 99);
	}
}

TEST(as_many_parts_as_there_can_be)
{
	for (size_t at = 0; at + 8 < MAX; at += 8)
		CHECK_EQ(add(3, at, at + 8, true), 0);
	expect_whole(add(3, MAX / 8 * 8, MAX, false), MAX);
}

TEST(parts_that_are_none)
{
	CHECK_EQ(add(1, 0, 0, true), -EPROTO);
	CHECK_EQ(add(1, 8, 8, false), -EPROTO);
	for (size_t end = 1; end < 8; end++)
		CHECK_EQ(add(1, 0, end, true), -EPROTO);
	CHECK_EQ(add(1, 4, 12, true), -EPROTO);
	CHECK_EQ(held(), 0);
}

TEST(a_packet_is_no_longer_than_it_may_be)
{
	CHECK_EQ(add(1, 552, MAX + 1, false), -EPROTO);
	CHECK_EQ(add(1, 0, 560, true), -EPROTO);
	CHECK_EQ(add(1, 552, 560, true), -EPROTO);
	CHECK_EQ(add(1, 560, 561, false), -EPROTO);
	CHECK_EQ(add(1, 65528, 65529, false), -EPROTO);
	CHECK_EQ(held(), 0);
	CHECK_EQ(add(1, 552, MAX, false), 0);
	CHECK_EQ(held(), 1);
}

/* Each pair of parts: the second ends the packet, and its other parts are none any more. */
TEST(parts_that_overlap_or_end_twice)
{
	static const struct {
		size_t at[2], end[2];
		bool more[2];
	} rows[] = {
		{ { 0, 0 }, { 48, 48 }, { true, true } }, /* the same again */
		{ { 0, 40 }, { 48, 60 }, { true, false } },
		{ { 40, 0 }, { 48, 48 }, { true, true } },
		{ { 16, 0 }, { 24, 64 }, { true, true } },
		{ { 16, 16 }, { 20, 24 }, { false, true } }, /* in the last one's unit */
		{ { 16, 24 }, { 24, 32 }, { false, true } }, /* behind the end */
		{ { 24, 16 }, { 32, 24 }, { true, false } }, /* an end before it */
		{ { 24, 16 }, { 32, 24 }, { false, false } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_EQ(add(5, rows[i].at[0], rows[i].end[0], rows[i].more[0]), 0);
		CHECK_EQ(held(), 1);
		CHECK_EQ(add(5, rows[i].at[1], rows[i].end[1], rows[i].more[1]), -EPROTO);
		CHECK_EQ(held(), 0);
		CHECK_EQ(add(5, 0, 48, true), 0);
		expect_whole(add(5, 48, 50, false), 50);
	}
}

TEST(packets_are_told_apart_by_number_and_sender)
{
	CHECK_EQ(add_from(IP, 1, 0, 8, true), 0);
	CHECK_EQ(add_from(IP + 1, 1, 0, 8, true), 0);
	CHECK_EQ(add_from(IP, 2, 0, 8, true), 0);
	expect_whole(add_from(IP + 1, 1, 8, 16, false), 16);
	expect_whole(add_from(IP, 1, 8, 16, false), 16);
	expect_whole(add_from(IP, 2, 8, 16, false), 16);
}

TEST(the_oldest_makes_room)
{
	for (uint16_t id = 0; id < FRAGMENTS_PACKETS_MAX; id++, now++)
		CHECK_EQ(add(id, 0, 8, true), 0);
	CHECK_EQ(held(), FRAGMENTS_PACKETS_MAX);
	CHECK_EQ(add(100, 0, 8, true), 0); /* in place of 0 */
	CHECK_EQ(held(), FRAGMENTS_PACKETS_MAX);
	now++;
	for (uint16_t id = 1; id < FRAGMENTS_PACKETS_MAX; id++)
		expect_whole(add(id, 8, 9, false), 9);
	CHECK_EQ(add(0, 8, 9, false), 0);
	CHECK_EQ(held(), 2);
	expect_whole(add(100, 8, 9, false), 9);
}

TEST(a_packet_without_an_end_is_forgotten)
{
	CHECK_EQ(add(1, 0, 8, true), 0);
	now += FRAGMENTS_MS * USEC_PER_MSEC - 1;
	expect_whole(add(1, 8, 16, false), 16);
	CHECK_EQ(add(1, 0, 8, true), 0);
	now += FRAGMENTS_MS * USEC_PER_MSEC;
	CHECK_EQ(add(1, 8, 16, false), 0);
	CHECK_EQ(held(), 1);
	expect_whole(add(1, 0, 8, true), 16);
}
