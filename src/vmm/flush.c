/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/flush.h"

#include <string.h>

#include "base/log.h"
#include "base/metrics.h"

#define PERIOD (60 * USEC_PER_SEC) /* contract, 4.3 */

static void on_room(struct loop_src *src, uint32_t events)
{
	struct flush *f = container_of(src, struct flush, room);

	(void)events;
	metrics_go_on();
	if (!metrics_unfinished())
		loop_remove(f->loop, src);
}

static int write_line(struct flush *f)
{
	int r = metrics_flush();

	if (!metrics_unfinished() || f->room.added)
		return r;
	f->room = (struct loop_src){ .fd = metrics_fd(), .events = EPOLLOUT, .fn = on_room };
	if (loop_add(f->loop, &f->room) < 0)
		return r; /* a file that cannot be polled: the rest comes before the next line */
	return r;
}

static void write_periodic(struct flush *f)
{
	int r = write_line(f);

	if (r < 0)
		log_err("Failed to write metrics: %s", strerror(-r));
}

static void on_timer(struct loop_timer *timer)
{
	struct flush *f = container_of(timer, struct flush, timer);

	if (f->frozen)
		f->due = true;
	else
		write_periodic(f);
	loop_timer_set(f->loop, timer, clock_monotonic() + PERIOD);
}

void flush_start(struct flush *f)
{
	write_periodic(f);
	loop_timer_set(f->loop, &f->timer, clock_monotonic() + PERIOD);
}

int flush_now(struct flush *f, struct err *e)
{
	int r = write_line(f);

	if (r == -EAGAIN)
		return err_set(e, ERR_STATE, r,
			       "Metrics error: the line was not written: the FIFO is full, its "
			       "reader is too slow or gone");
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "Metrics error: the line was not written: %s",
			       strerror(-r))
		     : 0;
}

void flush_freeze(struct flush *f)
{
	f->frozen = true;
}

void flush_thaw(struct flush *f)
{
	f->frozen = false;
	if (f->due)
		write_periodic(f);
	f->due = false;
}

void flush_init(struct flush *f, struct loop *loop)
{
	*f = (struct flush){ .loop = loop, .timer.fn = on_timer, .room.fd = -1 };
}

void flush_fini(struct flush *f)
{
	loop_timer_cancel(f->loop, &f->timer);
	loop_remove(f->loop, &f->room);
}
