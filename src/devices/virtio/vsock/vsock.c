/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/vsock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "base/fd.h"
#include "devices/virtio/vsock/device.h"

#define VIRTIO_F_IN_ORDER (UINT64_C(1) << 35) /* virtio 1.2, 6 */

enum { VIRTIO_ID_VSOCK = 19 };

/* --- notes between the threads ---------------------------------------------------- */

static void forget_connections(struct vsock *v)
{
	vsock_mux_drop(&v->mux);
	v->held = false;
	v->gate = VSOCK_GATE_OPEN;
	loop_timer_cancel(v->loop, &v->doubt);
	loop_timer_cancel(v->loop, &v->late);
}

static void stop_listening(struct vsock *v)
{
	loop_timer_cancel(v->loop, &v->retry);
	loop_remove(v->loop, &v->listener);
}

void vsock_enter(struct vsock *v)
{
	if (v->stale) {
		v->stale = false;
		forget_connections(v);
	}
	if (v->active && v->loaded) {
		v->loaded = false;
		v->gate = VSOCK_GATE_DUE;
	}
	if (!v->active) {
		stop_listening(v);
	} else if (!v->listener.added) {
		v->listener.events = EPOLLIN;
		if (loop_add(v->loop, &v->listener) < 0)
			vsock_fail(v, VSOCK_RX, "the host cannot watch its socket");
	}
}

static void on_wake(struct loop_src *src, uint32_t events)
{
	struct vsock *v = container_of(src, struct vsock, wake);

	(void)events;
	vdev_lock(&v->vdev);
	(void)fd_event_take(src->fd);
	vsock_enter(v);
	vsock_leave(v);
	vdev_unlock(&v->vdev);
}

static void watch_deadlines(struct vsock *v)
{
	usec_t due = v->paused ? 0 : vsock_mux_due(&v->mux);

	if (due == 0)
		loop_timer_cancel(v->loop, &v->late);
	else if (!v->late.set || v->late.due != due)
		loop_timer_set(v->loop, &v->late, due);
}

void vsock_close_books(struct vsock *v)
{
	counter_add(&v->metrics.rx_read_fails, v->io.read_fails);
	counter_add(&v->metrics.tx_write_fails, v->io.write_fails);
	counter_add(&v->metrics.tx_flush_fails, v->io.flush_fails);
	v->io.read_fails = v->io.write_fails = v->io.flush_fails = 0;
	watch_deadlines(v);
}

void vsock_leave(struct vsock *v)
{
	vsock_close_books(v);
	if (vsock_mux_wants(&v->mux))
		loop_at_turn_end(v->loop, &v->speak);
}

void vsock_fail(struct vsock *v, enum vsock_queue queue, const char *why)
{
	counter_t *fails[] = {
		[VSOCK_RX] = &v->metrics.rx_queue_event_fails,
		[VSOCK_TX] = &v->metrics.tx_queue_event_fails,
		[VSOCK_EVENT] = &v->metrics.ev_queue_event_fails,
	};

	counter_inc(fails[queue]);
	if (why)
		vdev_fail(&v->vdev, "%s", why);
	v->active = false;
	forget_connections(v);
	stop_listening(v);
}

/* --- class -------------------------------------------------------------------------- */

static uint64_t vsock_features(const struct vdev *dev)
{
	(void)dev;
	return VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_IN_ORDER;
}

static void vsock_config(const struct vdev *dev, void *buf)
{
	const uint64_t cid = vsock_of(dev)->guest_cid; /* 5.10.4; little-endian like the host */

	memcpy(buf, &cid, sizeof(cid));
}

static int vsock_activate(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	v->active = true;
	fd_event_signal(v->wake.fd);
	return 0;
}

static void vsock_kick(struct vdev *dev, unsigned queue)
{
	struct vsock *v = vsock_of(dev);

	vsock_enter(v);
	switch ((enum vsock_queue)queue) {
	case VSOCK_RX:
		counter_inc(&v->metrics.rx_queue_event_count);
		break;
	case VSOCK_TX:
		counter_inc(&v->metrics.tx_queue_event_count);
		vsock_run_tx(v);
		break;
	case VSOCK_EVENT:
		vsock_run_event(v);
		break;
	case VSOCK_QUEUES:
		break;
	}
	vsock_leave(v);
}

static void vsock_reset(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	v->active = v->loaded = false;
	v->stale = true;
	fd_event_signal(v->wake.fd);
}

/* No chain is ever in flight between two calls; only the time has to stand still. */
static void vsock_quiesce(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	if (!v->paused)
		v->paused = clock_monotonic();
	loop_timer_cancel(v->loop, &v->late);
	loop_timer_cancel(v->loop, &v->doubt);
}

static void vsock_resume(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);
	usec_t now = clock_monotonic();

	vsock_mux_delay(&v->mux, now - v->paused);
	v->paused = 0;
	vsock_enter(v);
	if (v->gate != VSOCK_GATE_OPEN)
		loop_timer_set(v->loop, &v->doubt, now + VSOCK_TIMEOUT);
	vsock_leave(v);
}

/* Connections are not saved: they end, and whoever is loaded tells its guest so. */
static void vsock_save(const struct vdev *dev, struct state_out *out)
{
	state_put_u32(out, vsock_of(dev)->mux.last_port);
}

static int vsock_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	struct vsock *v = vsock_of(dev);
	uint32_t port = state_get_u32(in);

	if (in->missing || port < VSOCK_PORT_FIRST || port > VSOCK_PORT_LAST)
		return err_set(e, ERR_INVALID, -EINVAL, "%s: saved state is damaged", dev->name);
	/* The guest still has connections to those ports, until it reads the event. */
	v->mux.last_port = port;
	/* A driver that was not ready had none, and may have no buffer for an event. */
	v->loaded = dev->status & VDEV_DRIVER_OK;
	return 0;
}

static void vsock_destroy(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	loop_timer_cancel(v->loop, &v->late);
	loop_timer_cancel(v->loop, &v->doubt);
	loop_task_cancel(v->loop, &v->speak);
	stop_listening(v);
	loop_remove(v->loop, &v->wake);
	metrics_remove(&v->group);
	vsock_mux_fini(&v->mux);
	fd_close_(&v->wake.fd);
	fd_close_(&v->listener.fd);
	free(v);
}

static const char *const metrics_names[] = { VSOCK_METRICS(METRICS_NAME) };

const struct metrics_shape vsock_metrics_shape = METRICS_SHAPE("vsock", metrics_names,
							       struct vsock_metrics);

static const struct vdev_class vsock_class = {
	.id = VIRTIO_ID_VSOCK,
	.nqueues = VSOCK_QUEUES,
	.queue_max = VIRTQ_MAX_SIZE,
	.config_size = 8,
	.features = vsock_features,
	.config = vsock_config,
	.activate = vsock_activate,
	.kick = vsock_kick,
	.reset = vsock_reset,
	.quiesce = vsock_quiesce,
	.resume = vsock_resume,
	.save = vsock_save,
	.load = vsock_load,
	.destroy = vsock_destroy,
};

/* --- create --------------------------------------------------------------------------- */

static void init(struct vsock *v, const struct vsock_cfg *cfg)
{
	v->guest_cid = cfg->guest_cid;
	v->loop = cfg->loop;
	snprintf(v->path, sizeof(v->path), "%s", cfg->uds_path);
	v->wake = (struct loop_src){ .fd = -1, .events = EPOLLIN, .fn = on_wake };
	v->listener = (struct loop_src){ .fd = -1, .events = EPOLLIN, .fn = vsock_on_listener };
	v->retry.fn = vsock_on_retry;
	v->late.fn = vsock_on_late;
	v->doubt.fn = vsock_on_doubt;
	v->speak.fn = vsock_on_speak;
	v->io = (struct vsock_io){ .slice = v->slice, .guest_cid = cfg->guest_cid };
}

/*
 * A guest that connects again and again must not leave the process without a
 * descriptor: the API would be deaf, and a drive could not be replaced.
 */
static unsigned most_connections(void)
{
	struct rlimit files;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return VSOCK_CONNS_MAX;
	most = files.rlim_cur < 2 * VSOCK_FDS_LEFT ? files.rlim_cur / 2
						   : files.rlim_cur - VSOCK_FDS_LEFT;
	return most < VSOCK_CONNS_MAX ? (unsigned)most : VSOCK_CONNS_MAX;
}

static int open_all(struct vsock *v, int listen_fd)
{
	int r = FAULT(-EMFILE);

	if (r < 0)
		return r;
	r = v->listener.fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
	if (r < 0)
		return -errno;
	r = v->wake.fd = fd_event_create();
	return r < 0 ? r : loop_add(v->loop, &v->wake);
}

int vsock_create(const struct vsock_cfg *cfg, struct vdev **ret, struct err *e)
{
	struct vsock *v = FAULT(-ENOMEM) ? NULL : calloc(1, sizeof(*v));
	struct vdev_counters count;
	int r;

	assert(cfg->guest_cid >= VSOCK_CID_FIRST && cfg->guest_cid <= VSOCK_CID_LAST);
	if (!v)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "vsock: no memory");
	init(v, cfg);
	count = (struct vdev_counters){
		.activate_fails = &v->metrics.activate_fails,
		.cfg_fails = &v->metrics.cfg_fails,
	};
	r = vdev_init(&v->vdev, &vsock_class, &count, "vsock", e);
	if (r < 0) {
		free(v);
		return r;
	}
	r = vsock_mux_init(&v->mux, v->loop, vsock_on_stream);
	v->mux.max = most_connections();
	v->mux.added = &v->metrics.conns_added;
	v->mux.removed = &v->metrics.conns_removed;
	v->group = (struct metrics_group){ .shape = &vsock_metrics_shape, .counters = &v->metrics };
	if (r == 0)
		r = open_all(v, cfg->listen_fd);
	if (r == 0)
		r = metrics_add(&v->group);
	if (r < 0) {
		vdev_destroy(&v->vdev);
		return err_set(e, ERR_INTERNAL, r, "vsock: %s", strerror(-r));
	}
	*ret = &v->vdev;
	return 0;
}

const struct vsock_metrics *vsock_metrics(const struct vdev *dev)
{
	return &vsock_of(dev)->metrics;
}
