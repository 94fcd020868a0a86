/* SPDX-License-Identifier: Apache-2.0 */
#include "api/drain.h"

#include <sys/socket.h>

enum { DISCARD_BYTES = 4096, READS_PER_TURN = 16 };

#define DRAIN_TIME USEC_PER_SEC

static void release(struct drain_slot *slot)
{
	if (slot->src.fd < 0)
		return;
	loop_remove(slot->drain->loop, &slot->src);
	loop_timer_cancel(slot->drain->loop, &slot->timer);
	close(slot->src.fd);
	slot->src.fd = -1;
}

static void on_readable(struct loop_src *src, uint32_t events)
{
	struct drain_slot *slot = container_of(src, struct drain_slot, src);
	char discard[DISCARD_BYTES];

	(void)events;
	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = recv(src->fd, discard, sizeof(discard), MSG_DONTWAIT);

		if (n > 0)
			continue;
		if (n == 0 || errno != EAGAIN)
			release(slot);
		return;
	}
}

static void on_deadline(struct loop_timer *timer)
{
	release(container_of(timer, struct drain_slot, timer));
}

void drain_init(struct drain *drain, struct loop *loop)
{
	drain->loop = loop;
	for (unsigned i = 0; i < DRAIN_MAX; i++)
		drain->slots[i] = (struct drain_slot){
			.src = { .fd = -1, .events = EPOLLIN, .fn = on_readable },
			.timer = { .fn = on_deadline },
			.drain = drain,
		};
}

void drain_fini(struct drain *drain)
{
	for (unsigned i = 0; i < DRAIN_MAX; i++)
		release(&drain->slots[i]);
}

void drain_add(struct drain *drain, int fd)
{
	for (unsigned i = 0; i < DRAIN_MAX; i++) {
		struct drain_slot *slot = &drain->slots[i];

		if (slot->src.fd >= 0)
			continue;
		slot->src.fd = fd;
		if (loop_add(drain->loop, &slot->src) < 0) {
			release(slot);
			return;
		}
		loop_timer_set(drain->loop, &slot->timer, clock_monotonic() + DRAIN_TIME);
		return;
	}
	close(fd);
}
