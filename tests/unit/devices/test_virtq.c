/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtq.h"
#include "test.h"

/* A driver in a few lines: rings at fixed places of a 64 KiB guest. */
enum { N = 8, DESC = 0x0, AVAIL = 0x1000, USED = 0x2000, TABLE = 0x3000, BUF = 0x8000 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static _Alignas(4096) uint8_t ram[0x10000];
static uint64_t dirty[1];
static struct gmem mem;
static struct virtq q;
static struct iovec iov[32];
static struct virtq_chain chain = { .cap = 32, .iov = iov };

static void put16(unsigned at, uint16_t v)
{
	memcpy(ram + at, &v, 2);
}

static uint16_t get16(unsigned at)
{
	uint16_t v;

	memcpy(&v, ram + at, 2);
	return v;
}

static void desc(unsigned base, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		 uint16_t next)
{
	uint8_t *d = ram + base + 16 * i;

	memcpy(d, &addr, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

static void offer(uint16_t head)
{
	uint16_t idx = get16(AVAIL + 2);

	put16(AVAIL + 4 + 2 * (idx % N), head);
	put16(AVAIL + 2, (uint16_t)(idx + 1));
}

static int start(bool event_idx, bool indirect)
{
	struct virtq_cfg cfg = { .size = N, .desc = DESC, .avail = AVAIL, .used = USED };

	memset(ram, 0, sizeof(ram));
	memset(dirty, 0, sizeof(dirty));
	mem = (struct gmem){ 0 };
	CHECK_EQ(gmem_add(&mem, 0, sizeof(ram), ram), 0);
	mem.region[0].dirty = dirty;
	return virtq_start(&q, &mem, &cfg, event_idx, indirect, 0);
}

static int pop(void)
{
	return virtq_pop(&q, &chain);
}

static void restart_with(struct virtq_cfg cfg, int expected)
{
	struct virtq other = { 0 };

	CHECK_EQ(virtq_start(&other, &mem, &cfg, false, false, 0), expected);
	CHECK_EQ(virtq_pop(&other, &chain), 0);
	CHECK(!virtq_arm(&other));
	CHECK(!virtq_publish(&other));
}

TEST(start_checks_geometry)
{
	const struct virtq_cfg good = { .size = N, .desc = DESC, .avail = AVAIL, .used = USED };
	struct virtq_cfg c;

	CHECK_EQ(start(false, false), 0);
	restart_with(good, 0);
	for (unsigned size = 0; size <= 0xffff; size += size < 1024 ? 1 : 1021) {
		bool fine = size == 1 || size == 2 || size == 4 || size == 8 || size == 16 ||
			    size == 32 || size == 64 || size == 128 || size == 256;
		c = good;
		c.size = (uint16_t)size;
		restart_with(c, fine ? 0 : -EPROTO);
	}
	c = good;
	c.desc = 8;
	restart_with(c, -EPROTO);
	c.desc = 16;
	restart_with(c, 0);
	c = good;
	c.avail = AVAIL + 1;
	restart_with(c, -EPROTO);
	c.avail = AVAIL + 2;
	restart_with(c, 0);
	c = good;
	c.used = USED + 2;
	restart_with(c, -EPROTO);
	c.used = USED + 4;
	restart_with(c, 0);
}

TEST(start_wants_each_ring_whole_in_one_region)
{
	const struct virtq_cfg good = { .size = N, .desc = DESC, .avail = AVAIL, .used = USED };
	const unsigned end = sizeof(ram);
	struct virtq_cfg c = good;

	CHECK_EQ(start(false, false), 0);
	c.desc = end - 16 * N;
	restart_with(c, 0);
	c.desc += 16;
	restart_with(c, -EPROTO);
	c.desc = UINT64_MAX - 15;
	restart_with(c, -EPROTO);
	c = good;
	c.avail = end - (4 + 2 * N + 2);
	restart_with(c, 0);
	c.avail += 2;
	restart_with(c, -EPROTO);
	c = good;
	c.used = (end - (4 + 8 * N + 2)) & ~3U;
	restart_with(c, 0);
	c.used += 4;
	restart_with(c, -EPROTO);
}

TEST(pop_fill_publish)
{
	CHECK_EQ(start(false, false), 0);
	desc(DESC, 3, BUF, 16, NEXT, 5);
	desc(DESC, 5, BUF + 0x100, 32, WRITE, 0);
	offer(3);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.head, 3);
	CHECK_EQ(chain.nout, 1);
	CHECK_EQ(chain.nin, 1);
	CHECK_EQ(chain.in_len, 32);
	CHECK_EQ(chain.out_len, 16);
	CHECK(iov[0].iov_base == ram + BUF);
	virtq_fill(&q, &chain, 7);
	CHECK_EQ(get16(USED + 2), 0); /* not yet visible */
	CHECK(virtq_publish(&q));
	CHECK_EQ(get16(USED + 2), 1);
	CHECK_EQ(ram[USED + 4], 3);
	CHECK_EQ(ram[USED + 8], 7);
	CHECK_EQ(pop(), 0);
	CHECK(!virtq_publish(&q));
}

TEST(the_driver_may_ask_for_no_interrupt)
{
	CHECK_EQ(start(false, false), 0);
	put16(AVAIL, 1);
	desc(DESC, 0, BUF, 8, WRITE, 0);
	offer(0);
	CHECK_EQ(pop(), 1);
	virtq_fill(&q, &chain, 0);
	CHECK(!virtq_publish(&q));
	CHECK_EQ(get16(USED + 2), 1);
}

TEST(what_is_written_is_dirty)
{
	CHECK_EQ(start(true, false), 0);
	CHECK(!virtq_arm(&q));
	CHECK_EQ(dirty[0], 1U << (USED >> 12)); /* avail_event */
	dirty[0] = 0;
	desc(DESC, 0, BUF, 16, NEXT, 1);
	desc(DESC, 1, BUF + 0x1ff0, 0x20, WRITE, 0);
	offer(0);
	CHECK_EQ(pop(), 1);
	virtq_fill(&q, &chain, 1);
	CHECK_EQ(dirty[0], 3U << ((BUF >> 12) + 1)); /* whole writable part, no readable */
	dirty[0] = 0;
	(void)!virtq_publish(&q);
	CHECK_EQ(dirty[0], 1U << (USED >> 12));
}

/* One chain that must be refused, whatever `build' made of it. */
static void refused(bool indirect, void (*build)(void))
{
	CHECK_EQ(start(false, indirect), 0);
	build();
	CHECK_EQ(pop(), -EPROTO);
	CHECK_EQ(q.inflight, 0);
	CHECK_EQ(pop(), -EPROTO);
}

static void head_out_of_range(void)
{
	offer(N);
}

/* Just behind the table of heads in flight. */
static void head_behind_the_largest(void)
{
	offer(VIRTQ_MAX_SIZE);
}

static void loop_of_two(void)
{
	desc(DESC, 0, BUF, 1, NEXT, 1);
	desc(DESC, 1, BUF, 1, NEXT, 0);
	offer(0);
}

/* No segment comes of it, so that no array is full some time. */
static void loop_of_nothing(void)
{
	desc(DESC, 0, BUF, 0, NEXT, 1);
	desc(DESC, 1, BUF, 0, NEXT, 0);
	offer(0);
}

static void next_out_of_range(void)
{
	desc(DESC, 0, BUF, 1, NEXT, N);
	offer(0);
}

static void readable_after_writable(void)
{
	desc(DESC, 0, BUF, 1, WRITE | NEXT, 1);
	desc(DESC, 1, BUF, 1, 0, 0);
	offer(0);
}

static void past_the_end(void)
{
	desc(DESC, 0, 0xfff0, 0x11, 0, 0);
	offer(0);
}

static void wrapping(void)
{
	desc(DESC, 0, UINT64_MAX - 7, 16, 0, 0);
	offer(0);
}

static void not_memory(void)
{
	desc(DESC, 0, 0xc0001000, 4, WRITE, 0);
	offer(0);
}

static void more_heads_than_entries(void)
{
	put16(AVAIL + 2, N + 1);
}

static void indirect_not_negotiated(void)
{
	desc(DESC, 0, TABLE, 16, INDIRECT, 0);
	offer(0);
}

TEST(bad_chains_are_refused)
{
	refused(false, head_out_of_range);
	refused(false, head_behind_the_largest);
	refused(false, loop_of_two);
	refused(false, loop_of_nothing);
	refused(false, next_out_of_range);
	refused(false, readable_after_writable);
	refused(false, past_the_end);
	refused(false, wrapping);
	refused(false, not_memory);
	refused(false, more_heads_than_entries);
	refused(false, indirect_not_negotiated);
}

/* The table of heads in flight ends there too. */
TEST(a_head_behind_the_largest_queue)
{
	const struct virtq_cfg cfg = {
		.size = VIRTQ_MAX_SIZE, .desc = DESC, .avail = AVAIL, .used = USED
	};

	CHECK_EQ(start(false, false), 0);
	CHECK_EQ(virtq_start(&q, &mem, &cfg, false, false, 0), 0);
	desc(DESC, VIRTQ_MAX_SIZE - 1, BUF, 16, 0, 0);
	put16(AVAIL + 4, VIRTQ_MAX_SIZE - 1);
	put16(AVAIL + 6, VIRTQ_MAX_SIZE);
	put16(AVAIL + 2, 2);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.head, VIRTQ_MAX_SIZE - 1);
	CHECK_EQ(pop(), -EPROTO);
	CHECK_EQ(q.inflight, 1);
}

static void indirect_empty(void)
{
	desc(DESC, 0, TABLE, 0, INDIRECT, 0);
	offer(0);
}

static void indirect_odd_size(void)
{
	desc(DESC, 0, TABLE, 17, INDIRECT, 0);
	offer(0);
}

static void indirect_too_long(void)
{
	desc(DESC, 0, TABLE, 16 * (VIRTQ_MAX_SIZE + 1), INDIRECT, 0);
	offer(0);
}

static void indirect_with_next(void)
{
	desc(DESC, 0, TABLE, 16, INDIRECT | NEXT, 1);
	offer(0);
}

static void indirect_in_indirect(void)
{
	desc(DESC, 0, TABLE, 16, INDIRECT, 0);
	desc(TABLE, 0, TABLE + 16, 16, INDIRECT, 0);
	offer(0);
}

static void indirect_wrapping(void)
{
	desc(DESC, 0, UINT64_MAX - 15, 32, INDIRECT, 0);
	offer(0);
}

static void indirect_beyond_memory(void)
{
	desc(DESC, 0, 0x10000, 16, INDIRECT, 0);
	offer(0);
}

static void indirect_loop(void)
{
	desc(DESC, 0, TABLE, 32, INDIRECT, 0);
	desc(TABLE, 0, BUF, 1, NEXT, 1);
	desc(TABLE, 1, BUF, 1, NEXT, 0);
	offer(0);
}

static void indirect_that_is_the_main_table(void)
{
	desc(DESC, 0, DESC, 16 * N, INDIRECT, 0); /* found by a fuzzer */
	offer(0);
}

TEST(bad_indirect_tables_are_refused)
{
	refused(true, indirect_empty);
	refused(true, indirect_odd_size);
	refused(true, indirect_too_long);
	refused(true, indirect_with_next);
	refused(true, indirect_in_indirect);
	refused(true, indirect_wrapping);
	refused(true, indirect_beyond_memory);
	refused(true, indirect_loop);
	refused(true, indirect_that_is_the_main_table);
}

/* Memory just below the end of all addresses: a table that wraps begins there, and goes on at 0. */
TEST(a_table_does_not_wrap_around_the_address_space)
{
	const gpa_t high = UINT64_MAX - 0xfff;

	CHECK_EQ(start(false, true), 0);
	CHECK_EQ(gmem_add(&mem, high, 0xff0, ram + TABLE), 0);
	desc(TABLE, 0, BUF, 4, NEXT, 256);
	desc(0, 0, high, 16 * 256, INDIRECT, 0); /* its last byte is the last there is */
	offer(0);
	CHECK_EQ(pop(), -EPROTO); /* no entry 256 */
	CHECK_EQ(start(false, true), 0);
	CHECK_EQ(gmem_add(&mem, high + 0x800, 0x7f0, ram + TABLE), 0);
	desc(TABLE, 0, BUF, 4, NEXT, 130);
	desc(32, 0, BUF, 4, 0, 0); /* at address 32: entry 130 of a table that wraps */
	desc(0, 0, high + 0x800, 16 * 256, INDIRECT, 0);
	offer(0);
	CHECK_EQ(pop(), -EPROTO);
}

TEST(indirect_table_at_an_odd_address_after_a_plain_descriptor)
{
	CHECK_EQ(start(false, true), 0);
	desc(DESC, 4, BUF + 16, 4, NEXT, 0);
	desc(DESC, 0, TABLE + 3, 32, INDIRECT | WRITE, 0); /* WRITE means nothing here */
	desc(TABLE + 3, 0, BUF, 8, NEXT, 1);
	desc(TABLE + 3, 1, BUF + 8, 8, WRITE, 0);
	offer(4);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.head, 4);
	CHECK_EQ(chain.nout, 2);
	CHECK_EQ(chain.nin, 1);
}

TEST(a_table_may_be_longer_than_the_queue)
{
	CHECK_EQ(start(false, true), 0);
	desc(DESC, 0, TABLE, 16 * 32, INDIRECT, 0);
	for (unsigned i = 0; i < 32; i++)
		desc(TABLE, i, BUF + i, 1, i < 31 ? NEXT : 0, (uint16_t)(i + 1));
	offer(0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.nout, 32);
	virtq_fill(&q, &chain, 0);
	desc(DESC, 0, TABLE, 16 * 33, INDIRECT, 0); /* one more than our array */
	desc(TABLE, 31, BUF, 1, NEXT, 32);
	desc(TABLE, 32, BUF, 1, 0, 0);
	offer(0);
	CHECK_EQ(pop(), -EPROTO);
}

TEST(a_chain_is_at_most_4_gib)
{
	/* One page stands for 2 GiB: only the sums are looked at. */
	static uint8_t *big;

	CHECK_EQ(start(false, false), 0);
	big = (uint8_t *)(uintptr_t)0x10000000000;
	CHECK_EQ(gmem_add(&mem, UINT64_C(1) << 32, UINT64_C(1) << 33, big), 0);
	desc(DESC, 0, UINT64_C(1) << 32, 0x80000000, NEXT, 1);
	desc(DESC, 1, UINT64_C(1) << 32, 0x80000000, 0, 0);
	offer(0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.out_len, 1LL << 32);
	virtq_fill(&q, &chain, 0);
	desc(DESC, 1, UINT64_C(1) << 32, 0x80000000, NEXT, 2);
	desc(DESC, 2, UINT64_C(1) << 32, 1, WRITE, 0);
	offer(0);
	CHECK_EQ(pop(), -EPROTO);
}

TEST(zero_length_segments_are_nothing)
{
	CHECK_EQ(start(false, false), 0);
	desc(DESC, 0, 0xffffffff0000, 0, NEXT, 1);
	desc(DESC, 1, BUF, 0, WRITE, 0);
	offer(0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.nout + chain.nin, 0);
	CHECK_EQ(chain.out_len + chain.in_len, 0);
}

TEST(a_head_in_flight_is_refused_until_it_is_filled)
{
	static struct iovec more[8];
	struct virtq_chain first, second = { .cap = 8, .iov = more };

	CHECK_EQ(start(false, false), 0);
	desc(DESC, 1, BUF, 8, WRITE, 0);
	desc(DESC, 2, BUF, 8, WRITE, 0);
	offer(1);
	offer(2);
	offer(1);
	CHECK_EQ(pop(), 1);
	first = chain;
	CHECK_EQ(virtq_pop(&q, &second), 1);
	CHECK_EQ(pop(), -EPROTO);
	CHECK_EQ(q.inflight, 2);
	virtq_fill(&q, &second, 0); /* out of order */
	CHECK_EQ(pop(), -EPROTO);
	virtq_fill(&q, &first, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.head, 1);
	virtq_fill(&q, &chain, 0);
	CHECK_EQ(virtq_publish(&q), true);
	CHECK_EQ(ram[USED + 4], 2);
	CHECK_EQ(virtq_idx(&q), 3);
}

TEST(no_more_in_flight_than_entries)
{
	CHECK_EQ(start(false, false), 0);
	for (uint16_t i = 0; i < N; i++) {
		desc(DESC, i, BUF, 8, WRITE, 0);
		offer(i);
		CHECK_EQ(pop(), 1);
	}
	offer(0);
	CHECK_EQ(pop(), -EPROTO);
	CHECK_EQ(q.inflight, N);
}

TEST(unpop_gives_the_chain_again)
{
	CHECK_EQ(start(false, false), 0);
	desc(DESC, 2, BUF, 8, WRITE, 0);
	offer(2);
	CHECK_EQ(pop(), 1);
	virtq_unpop(&q, &chain);
	CHECK_EQ(virtq_idx(&q), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(chain.head, 2);
}

TEST(chain_read_and_write_at_every_offset)
{
	uint8_t got[24], expect[24];

	CHECK_EQ(start(false, false), 0);
	for (unsigned i = 0; i < 24; i++)
		expect[i] = (uint8_t)(i + 1);
	desc(DESC, 0, BUF, 5, NEXT, 1);
	desc(DESC, 1, BUF + 0x100, 1, NEXT, 2);
	desc(DESC, 2, BUF + 0x200, 18, NEXT, 3);
	desc(DESC, 3, BUF + 0x300, 7, WRITE | NEXT, 4);
	desc(DESC, 4, BUF + 0x400, 17, WRITE, 0);
	memcpy(ram + BUF, expect, 5);
	memcpy(ram + BUF + 0x100, expect + 5, 1);
	memcpy(ram + BUF + 0x200, expect + 6, 18);
	offer(0);
	CHECK_EQ(pop(), 1);
	for (unsigned off = 0; off <= 24; off++) {
		for (unsigned len = 0; len <= 24 - off; len++) {
			memset(got, 0xee, sizeof(got));
			CHECK_EQ(virtq_chain_read(&chain, off, got, len), 0);
			CHECK_EQ(memcmp(got, expect + off, len), 0);
			memset(ram + BUF + 0x300, 0, 0x200);
			CHECK_EQ(virtq_chain_write(&chain, off, expect, len), 0);
			memcpy(got, ram + BUF + 0x300, 7);
			memcpy(got + 7, ram + BUF + 0x400, 17);
			CHECK_EQ(memcmp(got + off, expect, len), 0);
			CHECK(off == 0 || got[off - 1] == 0);
			CHECK(off + len == 24 || got[off + len] == 0);
			CHECK_EQ(ram[BUF + 0x307] + ram[BUF + 0x411], 0);
		}
		CHECK_EQ(virtq_chain_read(&chain, off, got, 25 - off), -EPROTO);
		CHECK_EQ(virtq_chain_write(&chain, off, got, 25 - off), -EPROTO);
	}
	CHECK_EQ(virtq_chain_read(&chain, 25, got, 0), -EPROTO);
	CHECK_EQ(virtq_chain_read(&chain, UINT64_MAX, got, 1), -EPROTO);
	CHECK_EQ(virtq_chain_write(&chain, UINT64_MAX, got, 1), -EPROTO);
}

TEST(event_idx_asks_once_per_threshold)
{
	CHECK_EQ(start(true, false), 0);
	for (unsigned i = 0; i < 4; i++) {
		desc(DESC, i, BUF, 8, WRITE, 0);
		offer((uint16_t)i);
	}
	put16(AVAIL + 4 + 2 * N, 2); /* used_event: tell me at 3 */
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(pop(), 1);
		virtq_fill(&q, &chain, 8);
		CHECK_EQ(virtq_publish(&q), i == 2);
	}
	CHECK(!virtq_arm(&q));
	CHECK_EQ(get16(USED + 4 + 8 * N), 4); /* avail_event */
	offer(0);
	CHECK(virtq_arm(&q));
}

TEST(a_kick_for_the_next_entry_whatever_waits)
{
	CHECK_EQ(start(true, false), 0);
	desc(DESC, 0, BUF, 8, WRITE, 0);
	desc(DESC, 1, BUF, 8, WRITE, 0);
	offer(0);
	offer(1);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(virtq_arm_next(&q), 2);
	CHECK_EQ(get16(USED + 4 + 8 * N), 2); /* virtq_arm() would say 1, which has passed */
	offer(0);
	CHECK_EQ(virtq_arm_next(&q), 3);
	CHECK_EQ(get16(USED + 4 + 8 * N), 3);
	/* Without the feature each entry is a kick. */
	CHECK_EQ(start(false, false), 0);
	CHECK_EQ(virtq_arm_next(&q), get16(AVAIL + 2));
	CHECK_EQ(get16(USED + 4 + 8 * N), 0);
}

/* One chain through the queue; whether an interrupt is wanted. */
static bool serve_one(void)
{
	offer(0);
	CHECK_EQ(pop(), 1);
	virtq_fill(&q, &chain, 8);
	return virtq_publish(&q);
}

TEST(event_idx_survives_65536_polled_completions)
{
	for (unsigned polled = 65533; polled <= 65537; polled++) {
		CHECK_EQ(start(true, false), 0);
		desc(DESC, 0, BUF, 8, WRITE, 0);
		put16(AVAIL + 4 + 2 * N, 0); /* the driver polls, and passes 0 on its way */
		for (unsigned i = 0; i < polled; i++)
			CHECK_EQ(serve_one(), i % 65536 == 0);
		put16(AVAIL + 4 + 2 * N, (uint16_t)polled); /* it wants the next one */
		for (unsigned i = 0; i < 4; i++) {
			offer(0);
			CHECK_EQ(pop(), 1);
			virtq_fill(&q, &chain, 8);
		}
		CHECK(virtq_publish(&q));
	}
}

TEST(indices_wrap)
{
	CHECK_EQ(start(true, false), 0);
	desc(DESC, 0, BUF, 8, WRITE, 0);
	for (unsigned i = 0; i < 70000; i++) {
		put16(AVAIL + 4 + 2 * N, (uint16_t)i);
		CHECK(serve_one());
	}
}

TEST(a_queue_goes_on_where_it_was)
{
	struct virtq_cfg cfg = { .size = N, .desc = DESC, .avail = AVAIL, .used = USED };
	uint16_t idx;

	CHECK_EQ(start(false, false), 0);
	desc(DESC, 0, BUF, 8, WRITE, 0);
	for (unsigned i = 0; i < 11; i++)
		(void)!serve_one();
	offer(0);
	idx = virtq_idx(&q);
	CHECK_EQ(idx, 11);
	virtq_stop(&q);
	CHECK_EQ(pop(), 0);
	CHECK_EQ(virtq_start(&q, &mem, &cfg, false, false, idx), 0);
	CHECK(!virtq_publish(&q));
	CHECK_EQ(pop(), 1);
	virtq_fill(&q, &chain, 3);
	CHECK(virtq_publish(&q));
	CHECK_EQ(get16(USED + 2), 12);
}
