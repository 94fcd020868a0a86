/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/drive_patch.h"

#include <stdio.h>

#include "base/fd.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/block/open.h"
#include "vmm/limits.h"
#include "vmm/state.h"

/* As long as a client may wait; every other action waits with it. */
enum { DRAIN_LIMIT_S = 10 };

/* The cause in `e', in the contract's words. */
static int refuse(struct err *e)
{
	char cause[sizeof(e->msg)];

	snprintf(cause, sizeof(cause), "%s", e->msg);
	return err_set(e, e->kind, e->code,
		       "Unable to patch the block device: Device manager error: %s. Please verify "
		       "the request arguments.",
		       cause);
}

static void set_limits(struct vdev *dev, const struct conf_drive_patch *patch)
{
	if (patch->has_rate_limiter)
		limit_device(dev, blk_set_limits, &patch->rate_limiter);
}

void drive_patch_drop(struct vmm *vmm)
{
	if (!vmm->patch.dev)
		return;
	fd_close_(&vmm->patch.fd);
	vmm->patch.dev = NULL;
}

/* The device takes requests again, unless the whole machine is paused. */
static void end(struct vmm *vmm)
{
	struct vdev *dev = vmm->patch.dev;

	drive_patch_drop(vmm);
	if (vmm->state == VMM_RUNNING)
		vdev_resume(dev);
}

/* No request is in flight: the new file takes the old one's place. */
static int exchange(struct vmm *vmm, const struct conf_drive_patch *patch, struct err *e)
{
	struct conf_drive *conf = conf_config_find_drive(&vmm->config, patch->drive_id);
	int r = blk_replace(vmm->patch.dev, vmm->patch.fd, e);

	if (r < 0)
		return refuse(e);
	(void)take_fd(&vmm->patch.fd);
	/* The device alone holds it: there is no start any more that could need it again. */
	files_keep_drive(&vmm->files, patch->drive_id, -1);
	set_limits(vmm->patch.dev, patch);
	return conf_drive_patch_apply(patch, conf, e);
}

int drive_patch_go_on(struct vmm *vmm, const struct action *a, struct err *e)
{
	bool idle = vdev_idle(vmm->patch.dev);
	int r;

	if (!idle && clock_monotonic() - vmm->patch.since < DRAIN_LIMIT_S * USEC_PER_SEC)
		return ACTION_PENDING;
	if (idle) {
		r = exchange(vmm, &a->drive_patch, e);
	} else {
		r = err_set(e, ERR_STATE, -ETIMEDOUT,
			    "requests of drive `%s' have been in flight for %d s: its host file "
			    "does not answer",
			    a->drive_patch.drive_id, DRAIN_LIMIT_S);
		r = r < 0 ? refuse(e) : r;
	}
	end(vmm);
	return r;
}

static int begin(struct vmm *vmm, const struct action *a, const struct conf_drive *conf,
		 struct vdev *dev, struct err *e)
{
	int r = blk_open(a->drive_patch.path_on_host, conf->is_read_only, &vmm->patch.fd, e);

	if (r < 0)
		r = err_wrap(e, "Virtio backend error");
	if (r < 0)
		return refuse(e);
	vmm->patch.dev = dev;
	vmm->patch.since = clock_monotonic();
	vdev_pause(dev);
	return drive_patch_go_on(vmm, a, e);
}

int drive_patch_begin(struct vmm *vmm, const struct action *a, struct err *e)
{
	const struct conf_drive_patch *patch = &a->drive_patch;
	struct conf_drive *conf = conf_config_find_drive(&vmm->config, patch->drive_id);
	struct vdev *dev = machine_drive(vmm->machine, patch->drive_id);
	int r;

	if (!conf || !dev) {
		r = err_set(e, ERR_INVALID, -ENODEV, "Device not found: drive `%s'",
			    patch->drive_id);
		return r < 0 ? refuse(e) : r;
	}
	if (patch->has_path_on_host)
		return begin(vmm, a, conf, dev, e);
	r = conf_drive_patch_apply(patch, conf, e);
	if (r == 0)
		set_limits(dev, patch);
	return r;
}
