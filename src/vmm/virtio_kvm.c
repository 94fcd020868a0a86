/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_kvm.h"

#include <string.h>

#include "base/fd.h"

static int connect_queues(const struct vm *vm, const struct vdev *dev, gpa_t base, struct err *e)
{
	for (unsigned q = 0; q < vdev_queues(dev); q++) {
		int r = vm_add_ioeventfd(vm, vdev_kick_fd(dev, q), base + VIRTIO_MMIO_NOTIFY, q, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Interrupt, loop, kicks, address and command line of one device. */
static int connect_device(const struct virtio_where *where, struct vdev *dev, int irq_fd,
			  unsigned index, struct err *e)
{
	gpa_t base = LAYOUT_VIRTIO + index * LAYOUT_VIRTIO_SIZE;
	unsigned gsi = LAYOUT_GSI_VIRTIO + index;
	int r = vm_add_irqfd(where->vm, irq_fd, gsi, e);

	if (r < 0)
		return r;
	r = vdev_attach(dev, where->loop, where->mem, (struct irq){ .fd = irq_fd }, e);
	if (r < 0)
		return r;
	r = connect_queues(where->vm, dev, base, e);
	if (r < 0)
		return r;
	return cmdline_add_virtio(where->cmdline, base, gsi, e);
}

int virtio_attach(struct virtio_slots *slots, const struct virtio_where *where, struct vdev **dev,
		  struct err *e)
{
	gpa_t base = LAYOUT_VIRTIO + slots->n * LAYOUT_VIRTIO_SIZE;
	struct virtio_slot *slot = &slots->slot[slots->n];
	autoclose int irq_fd = -1;
	int r;

	if (slots->n == (where->pic_only ? LAYOUT_VIRTIO_PIC_MAX : LAYOUT_VIRTIO_MAX))
		return err_set(
			e, ERR_INVALID, -ENOSPC,
			"Could not allocate GSI: The requested resource is not available. %s "
			"is one virtio device more than the %u that have an interrupt%s",
			vdev_name(*dev), slots->n,
			where->pic_only ? " with `noapic' (GSIs 5 to 15); leave it out of boot_args"
					: "");
	irq_fd = fd_event_create();
	if (irq_fd < 0)
		return err_set(e, ERR_INTERNAL, irq_fd, "%s: eventfd: %s", vdev_name(*dev),
			       strerror(-irq_fd));
	r = connect_device(where, *dev, irq_fd, slots->n, e);
	if (r < 0)
		return r;
	r = virtio_mmio_create(*dev, &slot->mmio, e);
	if (r < 0)
		return r;
	*dev = NULL;
	slot->irq_fd = take_fd(&irq_fd);
	slots->n++; /* from here on virtio_detach_all() undoes it */
	r = bus_add(where->mmio, base, VIRTIO_MMIO_WINDOW, virtio_mmio_bus(slot->mmio));
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "MMIO window at %#llx: %s",
			       (unsigned long long)base, strerror(-r));
	return 0;
}

void virtio_detach_all(struct virtio_slots *slots)
{
	while (slots->n > 0) {
		struct virtio_slot *slot = &slots->slot[--slots->n];

		virtio_mmio_destroy(slot->mmio);
		fd_close_(&slot->irq_fd);
	}
}

void virtio_pause(struct virtio_slots *slots)
{
	for (unsigned i = 0; i < slots->n; i++)
		vdev_pause(virtio_mmio_dev(slots->slot[i].mmio));
}

void virtio_resume(struct virtio_slots *slots)
{
	for (unsigned i = 0; i < slots->n; i++)
		vdev_resume(virtio_mmio_dev(slots->slot[i].mmio));
}

bool virtio_idle(struct virtio_slots *slots)
{
	for (unsigned i = 0; i < slots->n; i++)
		if (!vdev_idle(virtio_mmio_dev(slots->slot[i].mmio)))
			return false;
	return true;
}
