/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's network interfaces: configuration to taps and sockets, and those to
 * network devices.
 *
 * Main thread.
 */
#pragma once

#include "base/uring.h"
#include "conf/config.h"
#include "devices/virtio/vdev.h"
#include "vmm/handed.h"

struct nets {
	struct uring *ring; /* owned; what taps send by; NULL where the host has none */
	unsigned n;
	struct {
		const char *id;	  /* the configuration's */
		struct vdev *dev; /* the machine's */
	} net[CONF_NETS_MAX];
};

/*
 * Opens what the frames go to: a tap by name, a duplicate of one that was handed over,
 * or passt's socket.
 */
must_check int nets_open(const struct conf_net *conf, const struct handed *handed, int *ret_fd,
			 struct err *e);

/*
 * A network device on a duplicate of `fd'. It is the caller's. Makes the ring when the
 * first tap comes that has a use for it; a host that refuses it is told of as debugging.
 */
must_check int nets_create(struct nets *nets, const struct conf_net *conf, int fd,
			   struct vdev **ret_dev, struct err *e);

/* After the devices are gone. */
void nets_fini(struct nets *nets);

/* NULL: no such interface. */
must_check struct vdev *nets_find(const struct nets *nets, const char *id);

/* The limits that are given, of a device that runs too. */
void nets_set_limits(struct vdev *dev, const struct conf_rate_limiter *rx,
		     const struct conf_rate_limiter *tx);
