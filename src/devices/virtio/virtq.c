/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtq.h"

#include <assert.h>
#include <string.h>

#include "devices/virtio/iov.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "ring fields are read without byte swapping");

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };

/* A driver must not make a chain longer than this in total (virtio 1.2, 2.7.5). */
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32)

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* then used_event */
};

struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};

struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[]; /* then avail_event */
};

#define load_relaxed(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)	    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define fence_seq_cst()	    __atomic_thread_fence(__ATOMIC_SEQ_CST)

static size_t avail_bytes(unsigned n)
{
	return sizeof(struct virtq_avail) + n * sizeof(uint16_t) + sizeof(uint16_t);
}

static size_t used_bytes(unsigned n)
{
	return sizeof(struct virtq_used) + n * sizeof(struct virtq_used_elem) + sizeof(uint16_t);
}

static uint16_t *avail_event(struct virtq *q)
{
	return (uint16_t *)&q->used->ring[q->cfg.size];
}

/* The used ring is at most two pages; the host writes nothing else by itself. */
static void dirty_used(const struct virtq *q)
{
	gmem_dirty(q->mem, q->cfg.used, used_bytes(q->cfg.size));
}

int virtq_start(struct virtq *q, const struct gmem *m, const struct virtq_cfg *cfg, bool event_idx,
		bool indirect, uint16_t idx)
{
	unsigned n = cfg->size;

	if (n == 0 || n > VIRTQ_MAX_SIZE || (n & (n - 1)) != 0)
		return -EPROTO;
	if (cfg->desc % 16 != 0 || cfg->avail % 2 != 0 || cfg->used % 4 != 0)
		return -EPROTO;

	*q = (struct virtq){
		.mem = m,
		.cfg = *cfg,
		.event_idx = event_idx,
		.indirect = indirect,
		.next_avail = idx,
		.next_used = idx,
		.published = idx,
		.desc = gmem_hva(m, cfg->desc, n * sizeof(struct virtq_desc)),
		.avail = gmem_hva(m, cfg->avail, avail_bytes(n)),
		.used = gmem_hva(m, cfg->used, used_bytes(n)),
	};
	if (!q->desc || !q->avail || !q->used) {
		virtq_stop(q);
		return -EPROTO;
	}
	return 0;
}

void virtq_stop(struct virtq *q)
{
	*q = (struct virtq){ 0 };
}

uint16_t virtq_idx(const struct virtq *q)
{
	assert(q->inflight == 0 && q->next_used == q->next_avail && q->published == q->next_used);
	return q->next_avail;
}

static bool is_busy(const struct virtq *q, uint16_t head)
{
	return q->busy[head / 64] >> (head % 64) & 1;
}

static void set_busy(struct virtq *q, uint16_t head)
{
	q->busy[head / 64] |= UINT64_C(1) << (head % 64);
	q->inflight++;
}

static void clear_busy(struct virtq *q, uint16_t head)
{
	assert(q->inflight > 0 && is_busy(q, head));
	q->busy[head / 64] &= ~(UINT64_C(1) << (head % 64));
	q->inflight--;
}

static int add_segment(const struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d)
{
	unsigned n = c->nout + c->nin, before = n;
	bool write = d->flags & F_WRITE;

	if (!write && (c->nin > 0 || c->in_len > 0)) /* readable parts come first */
		return -EPROTO;
	if (d->len > CHAIN_BYTES_MAX - c->out_len - c->in_len)
		return -EPROTO;
	if (gmem_iov(q->mem, d->addr, d->len, c->iov, c->cap, &n) < 0)
		return -EPROTO;
	if (write) {
		c->nin += n - before;
		c->in_len += d->len;
	} else {
		c->nout += n - before;
		c->out_len += d->len;
	}
	return 0;
}

/*
 * Checks a descriptor that names a table and gives the size of the table. It may
 * be longer than the queue: drivers make it so, and our own limit bounds it.
 */
static int indirect_size(const struct virtq *q, const struct virtq_desc *d)
{
	if (!q->indirect || (d->flags & F_NEXT))
		return -EPROTO;
	if (d->len == 0 || d->len % sizeof(*d) != 0 || d->len / sizeof(*d) > VIRTQ_MAX_SIZE)
		return -EPROTO;
	if (d->len > UINT64_MAX - d->addr)
		return -EPROTO;
	return (int)(d->len / sizeof(*d));
}

/* Walks a chain of at most `max' descriptors, so a loop ends by itself. */
static int walk(struct virtq *q, struct virtq_chain *c)
{
	gpa_t table = q->cfg.desc;
	unsigned i = c->head, max = q->cfg.size, seen = 0;
	bool nested = false;
	struct virtq_desc d;
	int n;

	for (;;) {
		if (i >= max || seen++ == max)
			return -EPROTO;
		if (gmem_read(q->mem, table + i * sizeof(d), &d, sizeof(d)) < 0)
			return -EPROTO;
		if (d.flags & F_INDIRECT) {
			n = nested ? -EPROTO : indirect_size(q, &d);
			if (n < 0)
				return n;
			nested = true;
			table = d.addr;
			max = (unsigned)n;
			i = seen = 0;
			continue;
		}
		if (add_segment(q, c, &d) < 0)
			return -EPROTO;
		if (!(d.flags & F_NEXT))
			return 0;
		i = d.next;
	}
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t avail, pending;

	if (!q->avail)
		return 0;
	/* Before the ring entries. Partner: the driver's write barrier before its idx store. */
	avail = load_acquire(&q->avail->idx);
	pending = (uint16_t)(avail - q->next_avail);
	if (pending == 0)
		return 0;
	if (pending > q->cfg.size)
		return -EPROTO;

	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
	c->head = load_relaxed(&q->avail->ring[q->next_avail % q->cfg.size]);
	if (c->head >= q->cfg.size || is_busy(q, c->head) || walk(q, c) < 0)
		return -EPROTO;
	set_busy(q, c->head);
	q->next_avail++;
	return 1;
}

unsigned virtq_waiting(const struct virtq *q)
{
	uint16_t pending = q->avail ? (uint16_t)(load_relaxed(&q->avail->idx) - q->next_avail) : 0;

	return pending < q->cfg.size ? pending : q->cfg.size;
}

void virtq_unpop(struct virtq *q, const struct virtq_chain *c)
{
	clear_busy(q, c->head);
	q->next_avail--;
}

int virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *dst, size_t len)
{
	if (off > c->out_len || len > c->out_len - off)
		return -EPROTO;
	iov_copy_out(c->iov, c->nout, off, dst, len);
	return 0;
}

int virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *src, size_t len)
{
	if (off > c->in_len || len > c->in_len - off)
		return -EPROTO;
	iov_copy_in(c->iov + c->nout, c->nin, off, src, len);
	return 0;
}

void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	struct virtq_used_elem *e = &q->used->ring[q->next_used % q->cfg.size];

	assert(written <= c->in_len);
	clear_busy(q, c->head);
	store_relaxed(&e->id, c->head);
	store_relaxed(&e->len, written);
	gmem_dirty_iov(q->mem, c->iov + c->nout, c->nin, c->in_len);
	q->next_used++;
}

bool virtq_publish(struct virtq *q)
{
	uint16_t event, before = q->published;

	if (q->next_used == before)
		return false;
	/* After the entries. Partner: the driver's read barrier after its idx load. */
	store_release(&q->used->idx, q->next_used);
	q->published = q->next_used;
	dirty_used(q);

	/*
	 * The idx store before the event load. Partner: the driver's full barrier
	 * between writing used_event (or flags) and reading idx again.
	 */
	fence_seq_cst();
	if (!q->event_idx)
		return !(load_relaxed(&q->avail->flags) & AVAIL_NO_INTERRUPT);
	/*
	 * Interrupt when this publication passed used_event (2.7.7.2). The window
	 * starts at the last publication, not at the last interrupt: a driver that
	 * polls would otherwise let the difference wrap.
	 */
	event = load_relaxed(&q->avail->ring[q->cfg.size]);
	return (uint16_t)(q->published - event - 1) < (uint16_t)(q->published - before);
}

bool virtq_arm(struct virtq *q)
{
	if (!q->avail)
		return false;
	if (q->event_idx) {
		store_relaxed(avail_event(q), q->next_avail);
		dirty_used(q);
	}
	/*
	 * The event store before the idx load. Partner: the driver's full barrier
	 * between writing avail idx and reading avail_event.
	 */
	fence_seq_cst();
	return load_relaxed(&q->avail->idx) != q->next_avail;
}

struct virtq_peek virtq_peek(const struct virtq *q)
{
	return (struct virtq_peek){ .idx = &q->avail->idx, .seen = q->next_avail };
}

bool virtq_peek_moved(const struct virtq_peek *peek)
{
	/* Only a hint: virtq_pop() loads it again. */
	return load_relaxed(peek->idx) != peek->seen;
}

uint16_t virtq_arm_next(struct virtq *q)
{
	if (q->event_idx) {
		store_relaxed(avail_event(q), load_relaxed(&q->avail->idx));
		dirty_used(q);
	}
	/* As in virtq_arm(): an entry that was added before is in the idx returned. */
	fence_seq_cst();
	return load_relaxed(&q->avail->idx);
}
