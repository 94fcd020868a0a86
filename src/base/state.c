/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state.h"

#include <string.h>

void state_put_mem(struct state_out *o, const void *p, size_t len)
{
	if (len > o->cap - o->len) {
		o->full = true;
		return;
	}
	if (len > 0)
		memcpy(o->buf + o->len, p, len);
	o->len += len;
}

static void put(struct state_out *o, uint64_t v, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	state_put_mem(o, bytes, len);
}

void state_put_u8(struct state_out *o, uint8_t v)
{
	put(o, v, 1);
}

void state_put_u16(struct state_out *o, uint16_t v)
{
	put(o, v, 2);
}

void state_put_u32(struct state_out *o, uint32_t v)
{
	put(o, v, 4);
}

void state_put_u64(struct state_out *o, uint64_t v)
{
	put(o, v, 8);
}

int state_out_end(const struct state_out *o)
{
	return o->full ? -ENOSPC : 0;
}

void state_get_mem(struct state_in *in, void *p, size_t len)
{
	if (in->missing || len > in->len - in->at) {
		in->missing = true;
		memset(p, 0, len);
		return;
	}
	if (len > 0)
		memcpy(p, in->buf + in->at, len);
	in->at += len;
}

static uint64_t get(struct state_in *in, size_t len)
{
	uint8_t bytes[8];
	uint64_t v = 0;

	state_get_mem(in, bytes, len);
	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)bytes[i] << (8 * i);
	return v;
}

uint8_t state_get_u8(struct state_in *in)
{
	return (uint8_t)get(in, 1);
}

uint16_t state_get_u16(struct state_in *in)
{
	return (uint16_t)get(in, 2);
}

uint32_t state_get_u32(struct state_in *in)
{
	return (uint32_t)get(in, 4);
}

uint64_t state_get_u64(struct state_in *in)
{
	return get(in, 8);
}

int state_in_end(const struct state_in *in)
{
	return in->missing || in->at != in->len ? -EINVAL : 0;
}
