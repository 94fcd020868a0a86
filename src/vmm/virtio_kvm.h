/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio devices on the machine: each gets the next MMIO window and interrupt, in
 * the order in which it is attached; kicks come by ioeventfd, interrupts go by irqfd.
 *
 * Main thread, while the machine is built and when it is taken down.
 */
#pragma once

#include "base/loop.h"
#include "devices/bus.h"
#include "devices/virtio/mmio.h"
#include "vmm/vm.h"
#include "vmm/x86/cmdline.h"

struct virtio_slot {
	struct virtio_mmio *mmio; /* owned */
	int irq_fd;		  /* owned */
};

struct virtio_slots {
	unsigned n;
	struct virtio_slot slot[LAYOUT_VIRTIO_MAX];
};

struct virtio_where { /* what a device is attached to, all of it the machine's */
	const struct vm *vm;
	const struct gmem *mem;
	struct bus *mmio;
	struct loop *loop;
	struct cmdline *cmdline; /* gets the word that finds the device */
	bool pic_only;		 /* the guest uses no I/O APIC: LAYOUT_VIRTIO_PIC_MAX */
};

/* Takes *dev over on success (it is NULL then) and leaves it alone on failure. */
must_check int virtio_attach(struct virtio_slots *slots, const struct virtio_where *where,
			     struct vdev **dev, struct err *e);
void virtio_detach_all(struct virtio_slots *slots);

/* All devices at once; see vdev.h. */
void virtio_pause(struct virtio_slots *slots);
void virtio_resume(struct virtio_slots *slots);
must_check bool virtio_idle(struct virtio_slots *slots);
