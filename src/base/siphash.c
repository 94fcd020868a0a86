/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t read_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static void write_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static void rounds(struct state *s, unsigned n)
{
	while (n-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static void compress(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	rounds(s, 2);
	s->v0 ^= word;
}

void siphash(const uint8_t key[SIPHASH_KEY], const void *data, size_t len,
	     uint8_t ret_tag[SIPHASH_TAG])
{
	const uint8_t *at = data;
	uint64_t k0 = read_le64(key), k1 = read_le64(key + 8);
	/* The text "somepseudorandomlygeneratedbytes"; 0xee and 0xdd say 128 bits. */
	struct state s = {
		.v0 = k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
		.v2 = k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = k1 ^ UINT64_C(0x7465646279746573),
	};
	uint64_t last = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, at += 8)
		compress(&s, read_le64(at));
	for (unsigned i = 0; i < left; i++)
		last |= (uint64_t)at[i] << (8 * i);
	compress(&s, last);
	s.v2 ^= 0xee;
	rounds(&s, 4);
	write_le64(ret_tag, s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
	s.v1 ^= 0xdd;
	rounds(&s, 4);
	write_le64(ret_tag + 8, s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

bool siphash_equal(const uint8_t a[SIPHASH_TAG], const uint8_t b[SIPHASH_TAG])
{
	uint8_t differs = 0;

	for (unsigned i = 0; i < SIPHASH_TAG; i++)
		differs |= (uint8_t)(a[i] ^ b[i]);
	return differs == 0;
}
