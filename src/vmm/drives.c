/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/drives.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "devices/virtio/block/async.h"
#include "devices/virtio/block/block.h"
#include "vmm/limits.h"

int drives_init(struct drives *drives, const struct conf_config *conf, struct loop *loop,
		struct err *e)
{
	struct uring_cfg cfg = { 0 };
	int r;

	*drives = (struct drives){ 0 };
	for (unsigned i = 0; i < conf->ndrives; i++)
		cfg.files += conf->drives[i]->io_engine == CONF_IO_ENGINE_ASYNC;
	if (cfg.files == 0)
		return 0;
	cfg.depth = cfg.files * BLK_ASYNC_DEPTH;
	cfg.workers = cfg.files * BLK_ASYNC_WORKERS;
	r = uring_create(&cfg, loop, &drives->ring, e);
	return r < 0 ? err_wrap(e, "io_engine `Async'") : 0;
}

void drives_fini(struct drives *drives)
{
	uring_destroy(drives->ring);
	*drives = (struct drives){ 0 };
}

int drives_create(struct drives *drives, const struct conf_drive *conf, int fd,
		  struct vdev **ret_dev, struct err *e)
{
	autoclose int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct blk_cfg blk = {
		.id = conf->drive_id,
		.fd = own,
		.read_only = conf->is_read_only,
		.cache = conf->cache_type == CONF_CACHE_WRITEBACK ? BLK_WRITEBACK : BLK_UNSAFE,
		.discard = conf->discard,
		.direct = conf->direct,
	};
	int r;

	if (own < 0)
		return err_set(e, ERR_INTERNAL, -errno, "drive `%s': %s", conf->drive_id,
			       strerror(errno));
	r = blk_geometry(own, &blk.geometry, e);
	if (r < 0)
		return err_wrap(e, "drive `%s'", conf->drive_id);
	if (conf->io_engine == CONF_IO_ENGINE_ASYNC) {
		r = blk_async_create(drives->ring, drives->nasync, &blk.engine, e);
		if (r < 0)
			return err_wrap(e, "drive `%s'", conf->drive_id);
	}
	r = blk_create(&blk, ret_dev, e);
	if (r < 0) {
		if (blk.engine)
			blk.engine->class->destroy(blk.engine);
		return r;
	}
	(void)take_fd(&own);
	if (conf->direct && !blk_is_direct(*ret_dev))
		log_warn("drive `%s': `direct' has no effect, the host's file cannot do I/O around "
			 "the page cache in units of 512 bytes",
			 conf->drive_id);
	if (conf->has_rate_limiter)
		limit_device(*ret_dev, blk_set_limits, &conf->rate_limiter);
	drives->nasync += conf->io_engine == CONF_IO_ENGINE_ASYNC;
	drives->drive[drives->n].id = conf->drive_id;
	drives->drive[drives->n++].dev = *ret_dev;
	return 0;
}

struct vdev *drives_find(const struct drives *drives, const char *id)
{
	for (unsigned i = 0; i < drives->n; i++)
		if (strcmp(drives->drive[i].id, id) == 0)
			return drives->drive[i].dev;
	return NULL;
}

int drives_sync(const struct drives *drives, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < drives->n && r == 0; i++)
		r = blk_sync(drives->drive[i].dev, e);
	return r;
}
