/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Six bytes of orders, then the guest's memory as it is; anything but chains that
 * lie in memory or a clean -EPROTO is a bug.
 */
#include <string.h>

#include "devices/virtio/virtq.h"
#include "script.h"

enum { RAM = 0x4000, INPUT_MAX = 0x1400, IOVS = 24, TURNS = 48 };

static _Alignas(4096) uint8_t ram[RAM];
static struct gmem mem;

/* Regions that touch, and one behind a hole. */
static void make_memory(void)
{
	mem = (struct gmem){ 0 };
	if (gmem_add(&mem, 0, 0x2000, ram) < 0 ||
	    gmem_add(&mem, 0x2000, 0x1000, ram + 0x2000) < 0 ||
	    gmem_add(&mem, 0x8000, 0x1000, ram + 0x3000) < 0)
		abort();
}

/* Every segment lies in the guest, the sums are right. */
static void check_chain(const struct virtq_chain *c)
{
	uint64_t out = 0, in = 0;

	for (unsigned i = 0; i < c->nout + c->nin; i++) {
		uintptr_t off = (uintptr_t)c->iov[i].iov_base - (uintptr_t)ram;

		if (off >= RAM || c->iov[i].iov_len > RAM - off)
			abort();
		*(i < c->nout ? &out : &in) += c->iov[i].iov_len;
	}
	if (out != c->out_len || in != c->in_len || c->nout + c->nin > c->cap)
		abort();
}

static void use_chain(struct virtq *q, struct virtq_chain *c, uint8_t how)
{
	uint8_t buf[64];
	size_t len = how & 0x3f;

	check_chain(c);
	memset(buf, how, sizeof(buf));
	if (virtq_chain_read(c, how, buf, len) == 0 && how + len > c->out_len)
		abort();
	if (virtq_chain_write(c, how, buf, len) == 0 && how + len > c->in_len)
		abort();
	if (how & 0x40) {
		virtq_unpop(q, c);
		return;
	}
	virtq_fill(q, c, (uint32_t)(c->in_len & 0xffff));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct virtq_cfg cfg = { .desc = 0, .avail = 0x100, .used = 0x200 };
	struct iovec iov[2][IOVS];
	struct virtq_chain held = { .cap = IOVS, .iov = iov[0] };
	struct virtq_chain c = { .cap = IOVS, .iov = iov[1] };
	bool holding = false;
	uint8_t flags, how;
	struct virtq q;

	if (size < 6 || size > INPUT_MAX)
		return 0;
	flags = (uint8_t)take(&s, 1);
	how = (uint8_t)take(&s, 1);
	cfg.size = (uint16_t)(1U << (take(&s, 1) % 5));
	cfg.used += (gpa_t)take(&s, 1) * 4;
	make_memory();
	memset(ram, 0, sizeof(ram));
	memcpy(ram, s.p, s.left);
	if (virtq_start(&q, &mem, &cfg, flags & 1, flags & 2, (uint16_t)(flags >> 4)) < 0)
		return 0;
	for (unsigned i = 0; i < TURNS; i++) {
		struct virtq_chain *next = flags & 4 && !holding ? &held : &c;

		if (virtq_pop(&q, next) != 1)
			break;
		check_chain(next);
		if (next == &held)
			holding = true; /* stays in flight */
		else
			use_chain(&q, next, (uint8_t)(how + i));
		(void)!virtq_publish(&q);
		(void)!virtq_arm(&q);
	}
	if (holding)
		virtq_fill(&q, &held, 0);
	(void)!virtq_publish(&q);
	(void)!virtq_idx(&q);
	virtq_stop(&q);
	return 0;
}
