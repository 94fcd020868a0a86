/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the metadata service to the network devices that reach it: frames for its address
 * go to it and not to the host, and its answers come in between the host's.
 *
 * Main thread.
 */
#pragma once

#include "base/loop.h"
#include "conf/config.h"
#include "devices/virtio/net/net.h"
#include "mmds/nic.h"

struct mmds_net {
	struct net_detour detour;
	struct mmds_nic *nic; /* owned */
	struct vdev *dev;     /* the machine's */
	struct loop *loop;
	struct loop_timer timer; /* when the service has something to say by itself */
};

struct mmds_nets {
	unsigned n;
	struct mmds_net net[CONF_NETS_MAX];
};

/* Before the device is activated; `nets' stays where it is until the device is gone. */
must_check int mmds_nets_add(struct mmds_nets *nets, struct mmds *mmds, uint32_t ip,
			     struct vdev *dev, struct loop *loop, struct err *e);

/* After the devices are gone. */
void mmds_nets_fini(struct mmds_nets *nets);
