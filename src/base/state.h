/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state: the contents of one record, as bytes.
 *
 * A writer appends little-endian integers and bytes to memory that the caller
 * provides; a reader takes them back in the same order. Neither stops half way:
 * what does not fit is dropped, what is not there reads as zero, and the fact is
 * remembered, so that a sequence is coded without checks and asked once at its
 * end. A record carries no types and no lengths of its own: writer and reader
 * stand next to each other in one file. Not locked: one thread at a time.
 */
#pragma once

#include "base/cc.h"

struct state_out {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool full; /* something was dropped */
};

struct state_in {
	const uint8_t *buf; /* untrusted */
	size_t len;
	size_t at;
	bool missing; /* something was asked for that is not there */
};

#define STATE_OUT_ON(array) ((struct state_out){ .buf = (array), .cap = sizeof(array) })

void state_put_u8(struct state_out *o, uint8_t v);
void state_put_u16(struct state_out *o, uint16_t v);
void state_put_u32(struct state_out *o, uint32_t v);
void state_put_u64(struct state_out *o, uint64_t v);
void state_put_mem(struct state_out *o, const void *p, size_t len);
/* 0, or -ENOSPC when something was dropped. */
must_check int state_out_end(const struct state_out *o);

uint8_t state_get_u8(struct state_in *in);
uint16_t state_get_u16(struct state_in *in);
uint32_t state_get_u32(struct state_in *in);
uint64_t state_get_u64(struct state_in *in);
/* All of it or zeros. */
void state_get_mem(struct state_in *in, void *p, size_t len);
/* 0 when everything was there and nothing is left, else -EINVAL. */
must_check int state_in_end(const struct state_in *in);
