/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/mux.h"

#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

#define BUFFERS_SIZE ((size_t)VSOCK_CONNS_MAX * VSOCK_TXBUF_SIZE)

/* --- the pool ------------------------------------------------------------------- */

int vsock_mux_init(struct vsock_mux *m, struct loop *loop, loop_fn on_event)
{
	void *buffers = MAP_FAILED;

	*m = (struct vsock_mux){
		.loop = loop,
		.on_event = on_event,
		.last_port = VSOCK_PORT_LAST,
	};
	list_init(&m->free);
	list_init(&m->greeting);
	list_init(&m->lingering);
	list_init(&m->due);
	list_init(&m->rx);
	if (FAULT(-ENOMEM) == 0)
		m->conn = calloc(VSOCK_CONNS_MAX, sizeof(*m->conn));
	/* 64 MiB of address space; pages come when a slow peer first needs them. */
	if (m->conn && FAULT(-ENOMEM) == 0)
		buffers = mmap(NULL, BUFFERS_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buffers == MAP_FAILED) {
		vsock_mux_fini(m);
		return -ENOMEM;
	}
	/* And not by 2 MiB each. */
	(void)madvise(buffers, BUFFERS_SIZE, MADV_NOHUGEPAGE);
	m->buffers = buffers;
	return 0;
}

void vsock_mux_fini(struct vsock_mux *m)
{
	if (m->conn)
		vsock_mux_drop(m);
	free(m->conn);
	m->conn = NULL;
	if (m->buffers)
		munmap(m->buffers, BUFFERS_SIZE);
	m->buffers = NULL;
}

static struct vsock_conn *of_link(const struct list *link)
{
	return container_of(link, struct vsock_conn, link);
}

static struct vsock_conn *first_of(const struct list *head)
{
	return list_empty(head) ? NULL : of_link(head->next);
}

static void put_in(struct vsock_conn *c, struct list *head)
{
	if (c->in == head)
		return;
	list_remove(&c->link);
	c->in = head;
	if (head)
		list_append(head, &c->link);
}

static void close_socket(struct vsock_mux *m, struct vsock_conn *c)
{
	loop_remove(m->loop, &c->src);
	fd_close_(&c->src.fd);
	c->src.fd = -1;
	c->readable = false;
	c->txbuf.len = 0;
}

static unsigned bucket(uint32_t local, uint32_t peer)
{
	uint32_t hash = (local * UINT32_C(0x9e3779b1) ^ peer) * UINT32_C(0x85ebca6b);

	return hash >> (32 - VSOCK_BUCKET_BITS);
}

static void unhash(struct vsock_mux *m, struct vsock_conn *c)
{
	struct vsock_conn **at = &m->bucket[bucket(c->local, c->peer)];

	if (!c->hashed)
		return;
	while (*at != c)
		at = &(*at)->next_hash;
	*at = c->next_hash;
	c->hashed = false;
}

static void release(struct vsock_mux *m, struct vsock_conn *c)
{
	close_socket(m, c);
	unhash(m, c);
	list_remove(&c->rx);
	/* A burst long ago is no reason to keep 64 KiB for ever. */
	if (c->txbuf.touched)
		(void)madvise(c->txbuf.mem, VSOCK_TXBUF_SIZE, MADV_DONTNEED);
	c->txbuf.touched = false;
	if (c->named)
		counter_inc(m->removed);
	c->state = VSOCK_FREE;
	put_in(c, &m->free);
	m->nused--;
}

static struct vsock_conn *take_free(struct vsock_mux *m)
{
	struct vsock_conn *c;

	if (m->nused == m->max) {
		c = first_of(&m->greeting);
		c = c ? c : first_of(&m->lingering);
		if (c)
			release(m, c);
		return c;
	}
	c = first_of(&m->free);
	if (!c) {
		c = &m->conn[m->nfresh];
		c->txbuf.mem = m->buffers + (size_t)m->nfresh * VSOCK_TXBUF_SIZE;
		m->nfresh++;
	}
	return c;
}

int vsock_mux_add(struct vsock_mux *m, int fd, enum vsock_state state, struct vsock_conn **ret)
{
	struct vsock_conn *c = take_free(m);
	int r;

	if (!c) {
		close(fd);
		return -EMFILE;
	}
	list_remove(&c->link);
	*c = (struct vsock_conn){
		.src = { .fd = fd,
			 .events = EPOLLIN | EPOLLRDHUP | (uint32_t)EPOLLET,
			 .fn = m->on_event },
		.state = state,
		.mux = m,
		.txbuf.mem = c->txbuf.mem,
	};
	m->nused++;
	r = loop_add(m->loop, &c->src);
	if (r < 0) {
		release(m, c);
		return r;
	}
	*ret = c;
	return 0;
}

/* --- names ---------------------------------------------------------------------- */

struct vsock_conn *vsock_mux_find(const struct vsock_mux *m, uint32_t local, uint32_t peer)
{
	struct vsock_conn *c = m->bucket[bucket(local, peer)];

	while (c && (c->local != local || c->peer != peer))
		c = c->next_hash;
	return c;
}

void vsock_mux_name(struct vsock_mux *m, struct vsock_conn *c, uint32_t local, uint32_t peer)
{
	struct vsock_conn **at = &m->bucket[bucket(local, peer)];

	c->local = local;
	c->peer = peer;
	c->next_hash = *at;
	c->hashed = c->named = true;
	*at = c;
	counter_inc(m->added);
}

static bool has_port(const struct vsock_mux *m, uint32_t port)
{
	for (unsigned i = 0; i < m->nfresh; i++)
		if (m->conn[i].hashed && m->conn[i].local == port)
			return true;
	return false;
}

uint32_t vsock_mux_port(struct vsock_mux *m)
{
	/* There are a million times more ports than connections. */
	do {
		m->last_port = m->last_port == VSOCK_PORT_LAST ? VSOCK_PORT_FIRST
							       : m->last_port + 1;
	} while (has_port(m, m->last_port));
	return m->last_port;
}

/* --- what follows ---------------------------------------------------------------- */

/* The list that a connection waits in. */
static struct list *place_of(struct vsock_mux *m, const struct vsock_conn *c)
{
	switch (c->state) {
	case VSOCK_GREETING:
		return &m->greeting;
	case VSOCK_LINGERING:
		return &m->lingering;
	case VSOCK_ASKING:
	case VSOCK_OPEN:
		return c->deadline ? &m->due : NULL;
	case VSOCK_FREE:
	case VSOCK_DEAD:
		break;
	}
	return NULL;
}

void vsock_mux_settle(struct vsock_mux *m, struct vsock_conn *c)
{
	bool gone = c->state == VSOCK_DEAD || c->state == VSOCK_LINGERING;
	uint32_t out = c->txbuf.len > 0 ? EPOLLOUT : 0;

	if (c->state == VSOCK_DEAD || (c->state == VSOCK_LINGERING && c->txbuf.len == 0))
		close_socket(m, c);
	if (gone && !vsock_conn_wants(c)) {
		unhash(m, c);
		if (c->src.fd < 0) {
			release(m, c);
			return;
		}
	}
	/* Its edge is reported anew by this, when there is room already. */
	if (c->src.fd >= 0)
		loop_modify(m->loop, &c->src, (c->src.events & ~(uint32_t)EPOLLOUT) | out);
	put_in(c, place_of(m, c));
	/* Who waits already keeps its turn. */
	if (!vsock_conn_wants(c))
		list_remove(&c->rx);
	else if (list_empty(&c->rx))
		list_append(&m->rx, &c->rx);
}

void vsock_mux_forget(struct vsock_mux *m, struct vsock_conn *c)
{
	if (c->state != VSOCK_LINGERING)
		c->state = VSOCK_DEAD;
	c->say = 0;
	vsock_mux_settle(m, c);
}

bool vsock_mux_wants(const struct vsock_mux *m)
{
	return m->nrsts > 0 || !list_empty(&m->rx);
}

struct vsock_conn *vsock_mux_next(struct vsock_mux *m)
{
	struct list *first = m->rx.next;

	assert(!list_empty(&m->rx));
	list_remove(first);
	return container_of(first, struct vsock_conn, rx);
}

struct vsock_conn *vsock_mux_late(const struct vsock_mux *m, usec_t now)
{
	struct vsock_conn *c = first_of(&m->due);

	return c && c->deadline <= now ? c : NULL;
}

usec_t vsock_mux_due(const struct vsock_mux *m)
{
	const struct vsock_conn *c = first_of(&m->due);

	return c ? c->deadline : 0;
}

void vsock_mux_delay(struct vsock_mux *m, usec_t by)
{
	for (struct list *l = m->due.next; l != &m->due; l = l->next)
		of_link(l)->deadline += by;
}

/* --- the rest -------------------------------------------------------------------- */

void vsock_mux_put_rst(struct vsock_mux *m, const struct vsock_rst *rst)
{
	if (m->nrsts == VSOCK_RSTS_MAX)
		return;
	m->rst[(m->first_rst + m->nrsts) % VSOCK_RSTS_MAX] = *rst;
	m->nrsts++;
}

bool vsock_mux_take_rst(struct vsock_mux *m, struct vsock_rst *ret)
{
	if (m->nrsts == 0)
		return false;
	*ret = m->rst[m->first_rst];
	m->first_rst = (m->first_rst + 1) % VSOCK_RSTS_MAX;
	m->nrsts--;
	return true;
}

void vsock_mux_drop(struct vsock_mux *m)
{
	for (unsigned i = 0; i < m->nfresh; i++)
		if (m->conn[i].state != VSOCK_FREE)
			release(m, &m->conn[i]);
	m->nrsts = 0;
}
