/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO, version 2 (virtio 1.2, 4.2.2): one register window in front
 * of one device.
 *
 * The transport owns register widths, the order of status bits, feature masking
 * and the bounds of queue selection and configuration space; a device is never
 * called in a state that does not allow it. An access that means nothing reads as
 * zero or is ignored, and is counted (`ignored').
 *
 * Registers are 32 bits wide, aligned, and no other width is answered, with one
 * exception: QueueNotify takes 1, 2 and 4 bytes. Configuration space takes any.
 */
#pragma once

#include "base/err.h"
#include "base/state.h"
#include "devices/bus.h"
#include "devices/virtio/vdev.h"

enum {
	VIRTIO_MMIO_WINDOW = 0x1000, /* bytes, for bus_add() */
	VIRTIO_MMIO_NOTIFY = 0x50,   /* offset of QueueNotify, for an ioeventfd */
};

struct virtio_mmio {
	struct bus_dev bus;
	struct vdev *dev;	  /* owned */
	uint32_t device_features; /* (L) selectors, of the device's lock */
	uint32_t driver_features; /* (L) */
	uint32_t queue;		  /* (L) */
};

/* The device is the transport's after success. Main thread. */
must_check int virtio_mmio_create(struct vdev *dev, struct virtio_mmio **ret, struct err *e);

/* With the device. NULL is fine. After the last vCPU thread. */
void virtio_mmio_destroy(struct virtio_mmio *mmio);

must_check struct bus_dev *virtio_mmio_bus(struct virtio_mmio *mmio);
must_check struct vdev *virtio_mmio_dev(struct virtio_mmio *mmio);

/* vdev_save() and vdev_load() with the transport's own registers. */
must_check int virtio_mmio_save(struct virtio_mmio *mmio, struct state_out *out);
must_check int virtio_mmio_load(struct virtio_mmio *mmio, struct state_in *in, struct err *e);
