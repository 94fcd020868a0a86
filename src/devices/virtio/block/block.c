/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/block/block.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "devices/virtio/block/open.h"
#include "devices/virtio/block/req.h"

enum {
	VIRTIO_ID_BLOCK = 2,
	CONFIG_SIZE = 60,
	UNIT_MAX = 1 << 20,
	UNIT_USUAL = 4096,
	BOUNCE_ALIGN = 4096,
	ERROR_MAX = 4095, /* Linux's MAX_ERRNO */
};

/* virtio 1.2, 5.2.3 */
#define BLK_F_SEG_MAX	   (UINT64_C(1) << 2)
#define BLK_F_RO	   (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE	   (UINT64_C(1) << 6)
#define BLK_F_FLUSH	   (UINT64_C(1) << 9)
#define BLK_F_TOPOLOGY	   (UINT64_C(1) << 10)
#define BLK_F_DISCARD	   (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

/* 5.2.4, as far as features make it valid. No member is padded: 60 bytes. */
struct config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint32_t chs;
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[7]; /* the last four are the compiler's */
};
static_assert(offsetof(struct config, max_discard_sectors) == 36, "virtio 1.2, 5.2.4");
static_assert(offsetof(struct config, write_zeroes_may_unmap) == 56, "virtio 1.2, 5.2.4");

/* So much ends a turn: segments overlap as the driver likes, so memory is no bound. */
#define TURN_BYTES (UINT64_C(4) << 20)

static struct blk *blk_of(const struct vdev *dev)
{
	return container_of(dev, struct blk, vdev);
}

static uint64_t blk_features(const struct vdev *dev)
{
	const struct blk *b = blk_of(dev);
	uint64_t f = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
		     BLK_F_SEG_MAX;

	if (b->read_only)
		f |= BLK_F_RO;
	if (b->cache == BLK_WRITEBACK)
		f |= BLK_F_FLUSH;
	if (b->discard && !b->read_only)
		f |= BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	/* A medium with sectors of 512 bytes is what a driver expects anyway. */
	if (b->geometry.logical > BLK_SECTOR)
		f |= BLK_F_BLK_SIZE;
	if (b->geometry.physical > BLK_SECTOR)
		f |= BLK_F_TOPOLOGY;
	return f;
}

static void blk_config(const struct vdev *dev, void *buf)
{
	const struct blk *b = blk_of(dev);
	const struct blk_geometry *g = &b->geometry;
	uint64_t features = blk_features(dev);
	struct config c = { .capacity = b->sectors, .seg_max = BLK_SEG_MAX };

	if (features & BLK_F_BLK_SIZE)
		c.blk_size = g->logical;
	if (features & BLK_F_TOPOLOGY) {
		while (g->logical << c.physical_block_exp < g->physical)
			c.physical_block_exp++;
		c.alignment_offset = (uint8_t)(g->offset / g->logical);
		c.min_io_size = (uint16_t)(g->min_io / g->logical);
		c.opt_io_size = g->opt_io / g->logical;
	}
	if (features & BLK_F_DISCARD) {
		c.max_discard_sectors = BLK_DISCARD_SECTORS;
		c.max_discard_seg = BLK_RANGES_MAX;
		c.discard_sector_alignment = b->discard_sectors;
		c.max_write_zeroes_sectors = BLK_ZEROES_SECTORS;
		c.max_write_zeroes_seg = BLK_RANGES_MAX;
		c.write_zeroes_may_unmap = 1;
	}
	memcpy(buf, &c, CONFIG_SIZE);
}

static int blk_activate(struct vdev *dev)
{
	(void)dev;
	return 0;
}

static enum vdev_next starve(struct blk *b)
{
	counter_inc(&b->metrics.io_engine_throttled_events);
	b->starved = true;
	return VDEV_LATER;
}

/* One request, if there is one and room for it; what comes after it. */
static enum vdev_next serve_one(struct blk *b, unsigned queue)
{
	struct virtq *q = &b->vdev.queue[queue].q;
	struct blk_req *req = b->free;
	uint64_t bytes;

	if (!req)
		return starve(b);
	if (vdev_pop(&b->vdev, queue, &req->chain) == 0)
		return VDEV_ON_KICK;
	if (req->chain.in_len == 0) {
		virtq_unpop(q, &req->chain);
		vdev_fail(&b->vdev, "a request has no room for its status");
		return VDEV_ON_KICK;
	}
	bytes = blk_req_plan(req);
	if ((b->held > 0 && b->held + req->nops > b->engine->class->depth) ||
	    (b->bounce_taken && blk_req_bounces(req))) {
		virtq_unpop(q, &req->chain);
		return starve(b);
	}
	if (!vdev_limit_take(&b->limit, bytes)) {
		virtq_unpop(q, &req->chain);
		return VDEV_LATER;
	}
	b->free = req->next;
	b->turn_bytes += bytes;
	blk_req_run(req);
	return VDEV_AGAIN;
}

static void blk_kick(struct vdev *dev, unsigned queue)
{
	struct blk *b = blk_of(dev);
	enum vdev_next next = vdev_limit_waits(&b->limit) ? VDEV_LATER : VDEV_AGAIN;
	unsigned n;

	b->turn_bytes = 0;
	for (n = 0; n < VDEV_BUDGET && b->turn_bytes < TURN_BYTES && next == VDEV_AGAIN; n++)
		next = serve_one(b, queue);
	if (n == 1 && next == VDEV_ON_KICK)
		counter_inc(&b->metrics.no_avail_buffer);
	vdev_flush(dev, queue, next);
}

static void blk_reset(struct vdev *dev)
{
	blk_of(dev)->starved = false;
	blk_of(dev)->flush_error = 0;
}

static void blk_quiesce(struct vdev *dev)
{
	struct blk_engine *engine = blk_of(dev)->engine;

	/* For a pause every request ends as the driver wants it; for a reset, soon. */
	if (dev->resetting)
		engine->class->cancel(engine);
}

static void blk_resume(struct vdev *dev)
{
	(void)dev;
}

static void blk_save(const struct vdev *dev, struct state_out *out)
{
	const struct blk *b = blk_of(dev);

	state_put_u64(out, b->sectors);
	state_put_mem(out, b->serial, sizeof(b->serial));
	vdev_limit_save(&b->limit, out);
	if (b->flush_error < 0)
		state_put_u32(out, (uint32_t)-b->flush_error);
}

/* It ends the record, and is there only when a FLUSH has failed. */
static int load_flush_error(struct blk *b, struct state_in *in)
{
	uint32_t error;

	if (!in->missing && in->at == in->len)
		return 0;
	error = state_get_u32(in);
	if (in->missing || error == 0 || error > ERROR_MAX)
		return -EINVAL;
	b->flush_error = -(int)error;
	return 0;
}

/* The guest keeps the size and the serial number that it knows. */
static int blk_load(struct vdev *dev, struct state_in *in, struct err *e)
{
	struct blk *b = blk_of(dev);
	uint64_t sectors = state_get_u64(in);

	state_get_mem(in, b->serial, sizeof(b->serial));
	vdev_limit_load(&b->limit, in);
	if (load_flush_error(b, in) < 0)
		return err_set(e, ERR_INVALID, -EINVAL, "%s: saved state is damaged",
			       vdev_name(dev));
	if (sectors > b->bytes / BLK_SECTOR)
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"%s: the file is smaller than when it was saved: %llu sectors, not %llu",
			vdev_name(dev), (unsigned long long)(b->bytes / BLK_SECTOR),
			(unsigned long long)sectors);
	b->sectors = sectors;
	return 0;
}

static void free_requests(struct blk *b)
{
	free(b->reqs);
	free(b->ops);
	free(b->iov);
	free(b->bounce);
}

static void blk_destroy(struct vdev *dev)
{
	struct blk *b = blk_of(dev);

	metrics_remove(&b->group);
	vdev_limit_fini(&b->limit);
	fd_close_(&b->fd);
	b->engine->class->destroy(b->engine);
	free_requests(b);
	free(b);
}

static const char *const metrics_names[] = { BLK_METRICS(METRICS_NAME) "read_agg", "write_agg" };

const struct metrics_shape blk_metrics_shape = METRICS_SHAPE("block", metrics_names,
							     struct blk_metrics);

static const struct vdev_class blk_class = {
	.id = VIRTIO_ID_BLOCK,
	.nqueues = 1,
	.queue_max = VIRTQ_MAX_SIZE,
	.config_size = CONFIG_SIZE,
	.features = blk_features,
	.config = blk_config,
	.activate = blk_activate,
	.kick = blk_kick,
	.reset = blk_reset,
	.quiesce = blk_quiesce,
	.resume = blk_resume,
	.save = blk_save,
	.load = blk_load,
	.destroy = blk_destroy,
};

/* What the file frees at a time, in sectors. */
static uint32_t discard_unit(const struct stat *st)
{
	uint64_t unit = (uint64_t)st->st_blksize;

	if (unit < BLK_SECTOR || unit > UNIT_MAX || (unit & (unit - 1)) != 0)
		unit = UNIT_USUAL;
	return (uint32_t)(unit / BLK_SECTOR);
}

/* Takes the file over: its size, and the serial number that clients know. */
static int adopt(struct blk *b, int fd, struct err *e)
{
	struct stat st = { 0 };
	uint64_t bytes = 0;
	char serial[64];
	int r = blk_size(fd, &bytes, e);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_INTERNAL, -errno, "cannot look at the drive's file: %s",
			       strerror(errno));
	r = b->engine->class->set_file(b->engine, fd);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "io_engine `%s' cannot take the drive's file: %s",
			       b->engine->class->name, strerror(-r));
	snprintf(serial, sizeof(serial), "%llu%llu%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_rdev, (unsigned long long)st.st_ino);
	/* Zeros behind a short one, no NUL behind a long one (5.2.6). */
	memset(b->serial, 0, sizeof(b->serial));
	memcpy(b->serial, serial, strnlen(serial, sizeof(b->serial)));
	b->align = b->want_direct ? blk_go_direct(fd) : 0;
	b->fd = fd;
	b->flush_error = 0;
	b->discard_sectors = discard_unit(&st);
	b->bytes = bytes;
	b->sectors = bytes / BLK_SECTOR;
	return 0;
}

static int make_requests(struct blk *b, struct err *e)
{
	unsigned depth = b->engine->class->depth;

	/* Operations and vectors stand apart: of requests that never run they cost no memory. */
	b->reqs = FAULT(-ENOMEM) ? NULL : calloc(depth, sizeof(*b->reqs));
	b->ops = FAULT(-ENOMEM) ? NULL : calloc(depth, BLK_REQ_OPS * sizeof(*b->ops));
	b->iov = FAULT(-ENOMEM) ? NULL : calloc(depth, 2 * VIRTQ_IOV_MAX * sizeof(*b->iov));
	if (b->want_direct)
		b->bounce = FAULT(-ENOMEM) ? NULL : aligned_alloc(BOUNCE_ALIGN, BLK_PIECE);
	if (!b->reqs || !b->ops || !b->iov || (b->want_direct && !b->bounce))
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for %u requests", depth);
	for (unsigned i = 0; i < depth; i++) {
		struct blk_req *req = &b->reqs[i];

		req->blk = b;
		req->op = b->ops + (size_t)i * BLK_REQ_OPS;
		req->chain.iov = b->iov + (size_t)i * 2 * VIRTQ_IOV_MAX;
		req->chain.cap = VIRTQ_IOV_MAX;
		req->data = req->chain.iov + VIRTQ_IOV_MAX;
		req->next = b->free;
		b->free = req;
	}
	return 0;
}

static int add_metrics(struct blk *b, const char *id, struct err *e)
{
	int r;

	snprintf(b->id, sizeof(b->id), "%s", id);
	b->group = (struct metrics_group){ .shape = &blk_metrics_shape,
					   .id = b->id,
					   .counters = &b->metrics };
	r = metrics_add(&b->group);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "no memory for metrics") : 0;
}

int blk_create(const struct blk_cfg *cfg, struct vdev **ret, struct err *e)
{
	autofree struct blk *b = FAULT(-ENOMEM) ? NULL : calloc(1, sizeof(*b));
	char name[sizeof(b->vdev.name)];
	struct vdev_counters count;
	int r;

	if (!b)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "block `%s': no memory", cfg->id);
	snprintf(name, sizeof(name), "block `%s'", cfg->id);
	count = (struct vdev_counters){
		.activate_fails = &b->metrics.activate_fails,
		.cfg_fails = &b->metrics.cfg_fails,
		.event_fails = &b->metrics.event_fails,
		.kicks = &b->metrics.queue_event_count,
	};
	b->engine = cfg->engine ? cfg->engine : &blk_sync_engine;
	b->read_only = cfg->read_only;
	b->cache = cfg->cache;
	b->discard = cfg->discard;
	b->geometry = cfg->geometry;
	b->want_direct = cfg->direct;
	r = make_requests(b, e);
	if (r == 0)
		r = adopt(b, cfg->fd, e);
	if (r == 0)
		r = add_metrics(b, cfg->id, e);
	if (r < 0)
		r = err_wrap(e, "block `%s'", cfg->id);
	else
		r = vdev_init(&b->vdev, &blk_class, &count, name, e);
	if (r < 0) {
		metrics_remove(&b->group);
		free_requests(b);
		return r;
	}
	vdev_limit_init(&b->limit, &b->vdev, 0, &b->metrics.rate_limiter_throttled_events,
			&b->metrics.rate_limiter_event_count);
	*ret = &take_ptr(&b)->vdev;
	return 0;
}

int blk_replace(struct vdev *dev, int fd, struct err *e)
{
	struct blk *b = blk_of(dev);
	int r, old;

	if (!vdev_idle(dev)) {
		counter_inc(&b->metrics.update_fails);
		return err_set(e, ERR_STATE, -EBUSY, "%s: requests are in flight, try again",
			       vdev_name(dev));
	}
	vdev_lock(dev);
	old = b->fd;
	r = adopt(b, fd, e);
	if (r == 0)
		vdev_config_changed(dev);
	vdev_unlock(dev);
	if (r < 0) {
		counter_inc(&b->metrics.update_fails);
		return err_wrap(e, "%s", vdev_name(dev));
	}
	close(old);
	counter_inc(&b->metrics.update_count);
	return 0;
}

int blk_sync(struct vdev *dev, struct err *e)
{
	struct blk *b = blk_of(dev);
	int r;

	if (b->cache != BLK_WRITEBACK || b->read_only)
		return 0;
	vdev_lock(dev);
	r = FAULT(-EIO);
	if (r == 0 && fdatasync(b->fd) < 0)
		r = -errno;
	if (r < 0 && b->flush_error == 0)
		b->flush_error = r;
	vdev_unlock(dev);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "%s: the file cannot be synced: %s (os error %d)", vdev_name(dev),
			       strerror(-r), -r);
	return 0;
}

void blk_set_limits(struct vdev *dev, const struct rate_cfg *bandwidth, const struct rate_cfg *ops)
{
	vdev_limit_set(&blk_of(dev)->limit, bandwidth, ops);
}

bool blk_is_direct(const struct vdev *dev)
{
	return blk_of(dev)->align > 0;
}

unsigned blk_tail(const struct vdev *dev)
{
	return (unsigned)(blk_of(dev)->bytes % BLK_SECTOR);
}

const struct blk_metrics *blk_metrics(const struct vdev *dev)
{
	return &blk_of(dev)->metrics;
}
