/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's drives: configuration to block devices, and the one io_uring that
 * those with io_engine `Async' share.
 *
 * Main thread.
 */
#pragma once

#include "base/loop.h"
#include "base/uring.h"
#include "conf/config.h"
#include "devices/virtio/vdev.h"

struct drives {
	struct uring *ring; /* owned; NULL while no drive is Async */
	unsigned nasync;    /* slots of the ring that are taken */
	unsigned n;
	struct {
		const char *id;	  /* the configuration's */
		struct vdev *dev; /* the machine's */
	} drive[CONF_DRIVES_MAX];
};

/* Makes the ring when a drive of the configuration needs it. */
must_check int drives_init(struct drives *drives, const struct conf_config *conf, struct loop *loop,
			   struct err *e);

/* After the devices are gone. */
void drives_fini(struct drives *drives);

/*
 * A block device on a duplicate of `fd'. It is the caller's, and stays where it is
 * for as long as `drives' knows it.
 */
must_check int drives_create(struct drives *drives, const struct conf_drive *conf, int fd,
			     struct vdev **ret_dev, struct err *e);

/* NULL: no such drive. */
must_check struct vdev *drives_find(const struct drives *drives, const char *id);

/* What guests have written is on the disks, of those drives that promise it. All idle. */
must_check int drives_sync(const struct drives *drives, struct err *e);
