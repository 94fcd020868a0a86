/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script of register accesses, kicks, pauses and saved states against a block or
 * an entropy device. The register window must keep its promises in any order.
 */
#include "devices/driver.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/rng/rng.h"
#include "script.h"

enum { SECTORS = 64, STEPS = 200 };

static const uint16_t regs[] = { 0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x20, 0x24, 0x30,	0x34, 0x38,
				 0x44, 0x50, 0x60, 0x64, 0x70, 0x70, 0x80, 0x84, 0x90,	0x94, 0xa0,
				 0xa4, 0xac, 0xb0, 0xb4, 0xb8, 0xbc, 0xc0, 0xfc, 0x100, 0x108 };

static struct virtio_mmio *block, *entropy;
static int disk;

static struct virtio_mmio *plugged(struct vdev *dev)
{
	if (mmio) {
		struct err e;

		CHECK_EQ(virtio_mmio_create(dev, &mmio, &e), 0);
		CHECK_EQ(vdev_attach(dev, &loop, &mem, (struct irq){ irq_fd }, &e), 0);
	} else {
		plug(dev);
	}
	return mmio;
}

static struct vdev *new_block(void)
{
	struct blk_cfg cfg = { .id = "fuzz", .cache = BLK_WRITEBACK };
	struct vdev *dev;
	struct err e;

	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	return dev;
}

static struct vdev *new_rng(void)
{
	struct vdev *dev;
	struct err e;

	CHECK_EQ(rng_create(&dev, &e), 0);
	return dev;
}

static void machine(void)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(disk, SECTORS * 512), 0);
	block = plugged(new_block());
	entropy = plugged(new_rng());
}

static void access_once(struct script *s)
{
	struct bus_dev *b = virtio_mmio_bus(mmio);
	uint64_t off = regs[pick(s, ARRAY_SIZE(regs))], v;
	unsigned len = 4;
	uint8_t data[8];

	if (rarely(s)) {
		off = take(s, 2) % VIRTIO_MMIO_WINDOW;
		len = 1U << pick(s, 4);
		if (off + len > VIRTIO_MMIO_WINDOW)
			return;
	}
	v = take(s, 1);
	if (v & 0x80)
		v = take(s, 4);
	memcpy(data, &v, sizeof(data));
	if (v & 0x40)
		b->class->read(b, off, data, len);
	else
		b->class->write(b, off, data, len);
}

/* What the driver does next when it behaves. */
static void behave(struct script *s)
{
	switch (rd(R_STATUS)) {
	case 0:
		wr(R_STATUS, ACK);
		return;
	case ACK:
		wr(R_STATUS, DRIVER);
		return;
	case DRIVER:
		features(VIRTIO_F_VERSION_1 | take(s, 4));
		wr(R_STATUS, FEATURES);
		return;
	case FEATURES:
		queue_setup(0);
		wr(R_STATUS, RUN);
		return;
	case RUN:
		desc(Q_DESC, 0, BUF, 16, NEXT, 1);
		desc(Q_DESC, 1, BUF + 0x1000, 513, WRITE, 0);
		offer(mmio == block ? 0 : 1);
		wr(R_NOTIFY, 0);
		return;
	default:
		wr(R_STATUS, 0);
	}
}

/* The saved state of the device, loaded into a new one, is saved alike. */
static void copy(void)
{
	uint8_t first[256], second[256];
	struct state_out a = STATE_OUT_ON(first), b = STATE_OUT_ON(second);
	struct virtio_mmio *old = mmio, *new;
	struct state_in in;
	struct err e;

	vdev_pause(virtio_mmio_dev(old));
	CHECK_EQ(virtio_mmio_save(old, &a), 0);
	new = plugged(old == block ? new_block() : new_rng());
	vdev_pause(virtio_mmio_dev(new));
	in = (struct state_in){ .buf = first, .len = a.len };
	CHECK_EQ(virtio_mmio_load(new, &in, &e), 0);
	CHECK_EQ(virtio_mmio_save(new, &b), 0);
	CHECK(a.len == b.len && memcmp(first, second, a.len) == 0);
	if (old == block)
		block = new;
	else
		entropy = new;
	virtio_mmio_destroy(old);
	mmio = new;
}

static void promises(void)
{
	struct vdev *dev = virtio_mmio_dev(mmio);
	uint32_t status = rd(R_STATUS);

	CHECK_EQ(dev->acked & ~dev->class->features(dev), 0);
	CHECK(!(status & VDEV_DRIVER_OK) || (dev->acked & VIRTIO_F_VERSION_1));
	CHECK(!(status & VDEV_NEEDS_RESET) || (status & VDEV_DRIVER_OK));
	CHECK_EQ(rd(R_ISR) & ~3U, 0);
	CHECK_EQ(rd(0x00), 0x74726976);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };

	if (!mmio)
		machine();
	mmio = take(&s, 1) & 1 ? entropy : block;
	memset(ram, 0, BUF);
	for (unsigned i = 0; i < STEPS && s.left > 0; i++) {
		switch (take(&s, 1) & 15) {
		case 0 ... 5:
			access_once(&s);
			break;
		case 6 ... 10:
			behave(&s);
			break;
		case 11:
			ram[take(&s, 2) % BUF] = (uint8_t)take(&s, 1);
			break;
		case 12:
			vdev_pause(virtio_mmio_dev(mmio));
			break;
		case 13:
			vdev_resume(virtio_mmio_dev(mmio));
			break;
		case 14:
			CHECK_EQ(loop_turn(&loop, 0), 0);
			break;
		case 15:
			copy();
			break;
		}
		promises();
	}
	vdev_resume(virtio_mmio_dev(mmio));
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS) | rd(R_ISR) | rd(R_QUEUE_READY), 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	(void)fd_event_take(irq_fd);
	return 0;
}
