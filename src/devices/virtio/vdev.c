/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vdev.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/events.h"
#include "base/fd.h"
#include "base/log.h"

enum {
	RESET_PATIENCE_SEC = 5,
	RUNNING = VDEV_ACKNOWLEDGE | VDEV_DRIVER | VDEV_FEATURES_OK | VDEV_DRIVER_OK,
};

struct vdev_interrupts vdev_interrupts;

static void count(counter_t *c)
{
	if (c)
		counter_inc(c);
}

void vdev_lock(struct vdev *dev)
{
	pthread_mutex_lock(&dev->lock);
}

void vdev_unlock(struct vdev *dev)
{
	pthread_mutex_unlock(&dev->lock);
}

uint32_t vdev_id(const struct vdev *dev)
{
	return dev->class->id;
}

const char *vdev_name(const struct vdev *dev)
{
	return dev->name;
}

unsigned vdev_queues(const struct vdev *dev)
{
	return dev->class->nqueues;
}

int vdev_kick_fd(const struct vdev *dev, unsigned queue)
{
	assert(queue < dev->class->nqueues);
	return dev->queue[queue].kick.fd;
}

/* DRIVER_OK without FAILED and without DEVICE_NEEDS_RESET. */
static bool is_running(const struct vdev *dev)
{
	return dev->status == RUNNING && !dev->resetting;
}

static unsigned inflight(const struct vdev *dev)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dev->class->nqueues; i++)
		n += dev->queue[i].q.inflight;
	return n;
}

/* The bits are there before the interrupt is. */
static void interrupt(struct vdev *dev, uint32_t bits)
{
	__atomic_fetch_or(&dev->isr, bits, __ATOMIC_SEQ_CST);
	irq_raise(&dev->irq);
	counter_inc(&vdev_interrupts.triggers);
}

void vdev_fail(struct vdev *dev, const char *fmt, ...)
{
	uint64_t lost; /* said by the log */
	char why[160];
	va_list ap;

	if (dev->status & VDEV_NEEDS_RESET)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	dev->status |= VDEV_NEEDS_RESET;
	count(dev->count.event_fails);
	log_guest(LOG_WARN, "%s needs a reset: %s", dev->name, why);
	if (log_limit_pass(&dev->failures, &lost))
		event_emit("device-needs-reset", "device", dev->name, "reason", why, NULL);
	interrupt(dev, VDEV_ISR_CONFIG);
}

void vdev_config_changed(struct vdev *dev)
{
	__atomic_fetch_add(&dev->generation, 1, __ATOMIC_SEQ_CST);
	if (dev->status & VDEV_DRIVER_OK)
		interrupt(dev, VDEV_ISR_CONFIG);
}

/* --- queues ---------------------------------------------------------------- */

static void stop_queues(struct vdev *dev)
{
	for (unsigned i = 0; i < dev->class->nqueues; i++)
		virtq_stop(&dev->queue[i].q);
}

/* idx[i] is where queue i stands. A queue that the driver left alone stays stopped. */
static int start_queues(struct vdev *dev, const uint16_t *idx)
{
	for (unsigned i = 0; i < dev->class->nqueues; i++) {
		struct vdev_queue *vq = &dev->queue[i];
		int r;

		if (!vq->ready)
			continue;
		if (vq->cfg.size > dev->class->queue_max)
			return -EPROTO;
		r = virtq_start(&vq->q, dev->mem, &vq->cfg, dev->acked & VIRTIO_F_EVENT_IDX,
				dev->acked & VIRTIO_F_INDIRECT_DESC, idx[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

void vdev_activate(struct vdev *dev)
{
	const uint16_t idx[VDEV_QUEUES_MAX] = { 0 };
	int r = start_queues(dev, idx);

	if (r == 0)
		r = dev->class->activate(dev);
	if (r == 0)
		return;
	count(dev->count.activate_fails);
	stop_queues(dev);
	vdev_fail(dev, r == -EPROTO ? "a ring has a bad size, alignment or place"
				    : "the host cannot activate it");
}

bool vdev_runs(const struct vdev *dev)
{
	return is_running(dev) && !dev->paused;
}

int vdev_pop(struct vdev *dev, unsigned queue, struct virtq_chain *chain)
{
	int r;

	if (!vdev_runs(dev))
		return 0;
	r = virtq_pop(&dev->queue[queue].q, chain);
	if (r >= 0)
		return r;
	vdev_fail(dev, "queue %u holds a malformed ring entry or descriptor chain", queue);
	return 0;
}

static void finish_reset(struct vdev *dev)
{
	assert(inflight(dev) == 0);
	dev->class->reset(dev);
	stop_queues(dev);
	for (unsigned i = 0; i < dev->class->nqueues; i++) {
		dev->queue[i].cfg = (struct virtq_cfg){ 0 };
		dev->queue[i].ready = false;
	}
	dev->status = 0;
	dev->acked = 0;
	dev->pending = 0;
	__atomic_store_n(&dev->isr, 0, __ATOMIC_SEQ_CST);
	dev->resetting = false;
	dev->resets++;
	pthread_cond_broadcast(&dev->reset_done);
}

/* While paused too: on_kick() then remembers it for the resume. */
static void ask_for_kick(struct vdev *dev, struct vdev_queue *vq)
{
	if (is_running(dev) && virtq_arm(&vq->q))
		fd_event_signal(vq->kick.fd);
}

/* While more chains come soon, a kick would cost the driver an exit and us a wake-up. */
static bool poll_for_more(struct vdev *dev, struct vdev_queue *vq)
{
	if (!loop_polls(dev->loop) || dev->paused || !is_running(dev) || !vq->q.avail)
		return false;
	vq->peek = virtq_peek(&vq->q);
	loop_watch(dev->loop, &vq->watch);
	return true;
}

void vdev_flush(struct vdev *dev, unsigned queue, enum vdev_next next)
{
	struct vdev_queue *vq = &dev->queue[queue];

	if (virtq_publish(&vq->q))
		interrupt(dev, VDEV_ISR_QUEUE);
	if (next == VDEV_AGAIN && is_running(dev))
		fd_event_signal(vq->kick.fd);
	else if (next == VDEV_ARM || (next == VDEV_ON_KICK && !poll_for_more(dev, vq)))
		ask_for_kick(dev, vq);
	if (dev->resetting && inflight(dev) == 0)
		finish_reset(dev);
}

/* --- reset ----------------------------------------------------------------- */

/* Lock held, and released while it sleeps. Another thread's reset ends it too. */
static void wait_for_reset(struct vdev *dev)
{
	uint64_t before = dev->resets;
	struct timespec due;
	bool said = false;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += RESET_PATIENCE_SEC;
	/* No end but success: the guest would reuse memory that is still written. */
	while (dev->resets == before) {
		if (said) {
			pthread_cond_wait(&dev->reset_done, &dev->lock);
		} else if (pthread_cond_timedwait(&dev->reset_done, &dev->lock, &due) ==
			   ETIMEDOUT) {
			log_guest(LOG_WARN, "%s: reset has waited %d s for work in flight",
				  dev->name, RESET_PATIENCE_SEC);
			said = true;
		}
	}
}

void vdev_reset(struct vdev *dev)
{
	dev->resetting = true;
	if (inflight(dev) == 0) {
		finish_reset(dev);
		return;
	}
	fd_event_signal(dev->drain.fd);
	wait_for_reset(dev);
}

static void on_drain(struct loop_src *src, uint32_t events)
{
	struct vdev *dev = container_of(src, struct vdev, drain);

	(void)events;
	vdev_lock(dev);
	(void)fd_event_take(src->fd);
	if (dev->resetting)
		dev->class->quiesce(dev);
	if (dev->resetting && inflight(dev) == 0)
		finish_reset(dev);
	vdev_unlock(dev);
}

/* --- loop ------------------------------------------------------------------ */

/* Lock held. */
static void serve(struct vdev *dev, struct vdev_queue *vq)
{
	unsigned queue = (unsigned)(vq - dev->queue);

	count(dev->count.kicks);
	if (dev->paused)
		dev->pending |= 1U << queue;
	else if (is_running(dev))
		dev->class->kick(dev, queue);
}

static void on_kick(struct loop_src *src, uint32_t events)
{
	struct vdev_queue *vq = container_of(src, struct vdev_queue, kick);

	(void)events;
	vdev_lock(vq->dev);
	(void)fd_event_take(src->fd);
	serve(vq->dev, vq);
	vdev_unlock(vq->dev);
}

static bool has_more(const struct loop_watch *watch)
{
	return virtq_peek_moved(&container_of(watch, struct vdev_queue, watch)->peek);
}

static void on_watch(struct loop_watch *watch, bool found)
{
	struct vdev_queue *vq = container_of(watch, struct vdev_queue, watch);

	vdev_lock(vq->dev);
	if (found)
		serve(vq->dev, vq);
	else
		ask_for_kick(vq->dev, vq);
	vdev_unlock(vq->dev);
}

void vdev_pause(struct vdev *dev)
{
	vdev_lock(dev);
	if (!dev->paused) {
		dev->paused = true;
		/* Now: the ring is not written any more when the device is idle. */
		for (unsigned i = 0; i < dev->class->nqueues; i++)
			if (loop_unwatch(dev->loop, &dev->queue[i].watch))
				ask_for_kick(dev, &dev->queue[i]);
		dev->class->quiesce(dev);
	}
	vdev_unlock(dev);
}

void vdev_resume(struct vdev *dev)
{
	vdev_lock(dev);
	if (dev->paused) {
		dev->paused = false;
		dev->class->resume(dev);
		for (unsigned i = 0; i < dev->class->nqueues; i++)
			if (dev->pending & 1U << i)
				fd_event_signal(dev->queue[i].kick.fd);
		dev->pending = 0;
		/* One raised around a snapshot may be lost; one too many does no harm. */
		if (__atomic_load_n(&dev->isr, __ATOMIC_SEQ_CST))
			irq_raise(&dev->irq);
	}
	vdev_unlock(dev);
}

bool vdev_idle(struct vdev *dev)
{
	bool idle;

	vdev_lock(dev);
	idle = inflight(dev) == 0;
	vdev_unlock(dev);
	return idle;
}

/* --- making and unmaking --------------------------------------------------- */

static void fini(struct vdev *dev)
{
	for (unsigned i = 0; i < dev->class->nqueues; i++)
		fd_close_(&dev->queue[i].kick.fd);
	fd_close_(&dev->drain.fd);
	pthread_cond_destroy(&dev->reset_done);
	pthread_mutex_destroy(&dev->lock);
}

static void init_lock(struct vdev *dev)
{
	pthread_condattr_t attr;

	/* None of these fails in glibc; the clock is a valid one. */
	pthread_mutex_init(&dev->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&dev->reset_done, &attr);
	pthread_condattr_destroy(&attr);
}

/* An event source on the loop to be; -errno. */
static int init_src(struct loop_src *src, loop_fn fn)
{
	*src = (struct loop_src){ .fd = fd_event_create(), .events = EPOLLIN, .fn = fn };
	return src->fd < 0 ? src->fd : 0;
}

int vdev_init(struct vdev *dev, const struct vdev_class *class, const struct vdev_counters *count,
	      const char *name, struct err *e)
{
	int r;

	assert(class->nqueues <= VDEV_QUEUES_MAX && class->config_size <= VDEV_CONFIG_MAX);
	assert(class->queue_max <= VIRTQ_MAX_SIZE);
	dev->class = class;
	dev->count = *count;
	dev->irq.fd = -1;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	init_lock(dev);
	for (unsigned i = 0; i < class->nqueues; i++)
		dev->queue[i] = (struct vdev_queue){
			.dev = dev,
			.kick.fd = -1,
			.watch = { .ready = has_more, .fn = on_watch },
		};
	r = init_src(&dev->drain, on_drain);
	for (unsigned i = 0; i < class->nqueues && r == 0; i++)
		r = init_src(&dev->queue[i].kick, on_kick);
	if (r == 0)
		return 0;
	fini(dev);
	return err_set(e, ERR_INTERNAL, r, "%s: cannot make an eventfd: %s", dev->name,
		       strerror(-r));
}

int vdev_attach(struct vdev *dev, struct loop *loop, const struct gmem *mem, struct irq irq,
		struct err *e)
{
	int r;

	assert(!dev->loop);
	r = loop_add(loop, &dev->drain);
	for (unsigned i = 0; i < dev->class->nqueues && r == 0; i++)
		r = loop_add(loop, &dev->queue[i].kick);
	/* Also after an error: destroy then finds the sources that were added. */
	dev->loop = loop;
	dev->mem = mem;
	dev->irq = irq;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: cannot watch its queues: %s", dev->name,
			       strerror(-r));
	return 0;
}

void vdev_destroy(struct vdev *dev)
{
	if (!dev)
		return;
	if (dev->loop) {
		loop_remove(dev->loop, &dev->drain);
		for (unsigned i = 0; i < dev->class->nqueues; i++) {
			loop_remove(dev->loop, &dev->queue[i].kick);
			(void)loop_unwatch(dev->loop, &dev->queue[i].watch);
		}
	}
	fini(dev);
	dev->class->destroy(dev);
}

/* --- saved state ------------------------------------------------------------ */

int vdev_save(struct vdev *dev, struct state_out *out)
{
	vdev_lock(dev);
	assert(dev->paused && !dev->resetting && inflight(dev) == 0);
	state_put_u8(out, dev->status);
	state_put_u32(out, __atomic_load_n(&dev->isr, __ATOMIC_SEQ_CST));
	state_put_u32(out, __atomic_load_n(&dev->generation, __ATOMIC_SEQ_CST));
	state_put_u64(out, dev->acked);
	for (unsigned i = 0; i < dev->class->nqueues; i++) {
		const struct vdev_queue *vq = &dev->queue[i];

		state_put_u8(out, vq->ready);
		state_put_u16(out, vq->cfg.size);
		state_put_u64(out, vq->cfg.desc);
		state_put_u64(out, vq->cfg.avail);
		state_put_u64(out, vq->cfg.used);
		state_put_u16(out, is_running(dev) && vq->ready ? virtq_idx(&vq->q) : 0);
	}
	dev->class->save(dev, out);
	vdev_unlock(dev);
	return state_out_end(out);
}

/* What the order of status bits can lead to. */
static bool is_status(uint8_t status)
{
	switch (status & ~VDEV_FAILED) {
	case 0:
	case VDEV_ACKNOWLEDGE:
	case VDEV_ACKNOWLEDGE | VDEV_DRIVER:
	case VDEV_ACKNOWLEDGE | VDEV_DRIVER | VDEV_FEATURES_OK:
	case RUNNING:
	case RUNNING | VDEV_NEEDS_RESET:
		return true;
	default:
		return false;
	}
}

static int load_locked(struct vdev *dev, struct state_in *in, struct err *e)
{
	uint16_t idx[VDEV_QUEUES_MAX] = { 0 };
	uint64_t offered = dev->class->features(dev);
	int r;

	dev->status = state_get_u8(in);
	__atomic_store_n(&dev->isr, state_get_u32(in), __ATOMIC_SEQ_CST);
	__atomic_store_n(&dev->generation, state_get_u32(in), __ATOMIC_SEQ_CST);
	dev->acked = state_get_u64(in);
	for (unsigned i = 0; i < dev->class->nqueues; i++) {
		struct vdev_queue *vq = &dev->queue[i];

		vq->ready = state_get_u8(in);
		vq->cfg.size = state_get_u16(in);
		vq->cfg.desc = state_get_u64(in);
		vq->cfg.avail = state_get_u64(in);
		vq->cfg.used = state_get_u64(in);
		idx[i] = state_get_u16(in);
	}
	if (in->missing || !is_status(dev->status) ||
	    dev->isr & ~(uint32_t)(VDEV_ISR_QUEUE | VDEV_ISR_CONFIG))
		return err_set(e, ERR_INVALID, -EINVAL, "%s: saved state is damaged", dev->name);
	if (dev->acked & ~offered)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "%s: saved with features that it does not have now (%#llx)",
			       dev->name, (unsigned long long)(dev->acked & ~offered));
	r = dev->class->load(dev, in, e);
	if (r < 0 || !is_running(dev))
		return r;
	dev->pending = (1U << dev->class->nqueues) - 1;
	r = start_queues(dev, idx);
	if (r == 0)
		r = dev->class->activate(dev);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "%s: saved queues do not fit the guest's memory",
			       dev->name);
	return 0;
}

int vdev_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	int r;

	vdev_lock(dev);
	assert(dev->paused && dev->status == 0);
	r = load_locked(dev, in, e);
	if (r < 0) {
		/* Safe to destroy, and nothing else. */
		stop_queues(dev);
		dev->status = 0;
	}
	vdev_unlock(dev);
	return r;
}
