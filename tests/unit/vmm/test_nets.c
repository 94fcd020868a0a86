/* SPDX-License-Identifier: Apache-2.0 */
/* From an interface's configuration to its device: the ring of the taps. Needs root. */
#include "vmm/nets.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

#include "base/fault.h"
#include "descriptors.h"
#include "devices/virtio/net/tap.h"
#include "test.h"

enum { TAPS = 3 };

static struct nets nets;
static struct conf_net conf[TAPS];
static struct vdev *dev[TAPS];
static int tap[TAPS];

static void open_taps(void)
{
	struct err e = { 0 };

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("no network namespace of our own");
	for (unsigned i = 0; i < TAPS; i++) {
		snprintf(conf[i].iface_id, sizeof(conf[i].iface_id), "eth%u", i);
		snprintf(conf[i].host_dev_name, sizeof(conf[i].host_dev_name), "tap%u", i);
		if (nets_open(&conf[i], NULL, &tap[i], &e) < 0)
			SKIP(e.msg);
	}
}

static void undo(void)
{
	for (unsigned i = 0; i < TAPS; i++)
		vdev_destroy(dev[i]);
	nets_fini(&nets);
	CHECK(!nets.ring);
}

TEST(one_ring_for_all_taps)
{
	struct err e = { 0 };
	struct uring *ring;
	unsigned before;

	open_taps();
	before = open_descriptors();
	CHECK_EQ(nets_create(&nets, &conf[0], tap[0], &dev[0], &e), 0);
	ring = nets.ring;
	CHECK_EQ(ring != NULL, net_tap_never_waits(tap[0]));
	for (unsigned i = 1; i < TAPS; i++) {
		CHECK_EQ(nets_create(&nets, &conf[i], tap[i], &dev[i], &e), 0);
		CHECK(nets.ring == ring);
	}
	CHECK(nets_find(&nets, "eth2") == dev[2]);
	undo();
	CHECK_EQ(open_descriptors(), before);
}

/* It is a host that has no io_uring to give: its guests have a network all the same. */
TEST(a_host_that_refuses_the_ring_refuses_no_interface)
{
	unsigned before, without = 0;

#ifndef WISP_FAULTS
	SKIP("built without WISP_FAULTS");
#endif
	open_taps();
	if (!net_tap_never_waits(tap[0]))
		SKIP("this kernel cannot write to a tap without waiting");
	before = open_descriptors();
	for (long n = 0;; n++) {
		struct err e = { 0 };
		bool fired;
		int r;

		fault_arm(n);
		r = nets_create(&nets, &conf[0], tap[0], &dev[0], &e);
		fired = fault_fired();
		fault_arm(-1);
		if (r < 0)
			dev[0] = NULL;
		else
			without += !nets.ring;
		undo();
		dev[0] = NULL;
		CHECK_EQ(open_descriptors(), before);
		if (!fired)
			break;
	}
	CHECK(without >= 4);
}
