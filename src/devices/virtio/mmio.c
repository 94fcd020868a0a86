/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/mmio.h"

#include <assert.h>
#include <string.h>

#include "base/fault.h"
#include "base/fd.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers are copied as they are");

enum { /* virtio 1.2, 4.2.2 */
       REG_MAGIC = 0x000,
       REG_VERSION = 0x004,
       REG_DEVICE_ID = 0x008,
       REG_VENDOR_ID = 0x00c,
       REG_DEVICE_FEATURES = 0x010,
       REG_DEVICE_FEATURES_SEL = 0x014,
       REG_DRIVER_FEATURES = 0x020,
       REG_DRIVER_FEATURES_SEL = 0x024,
       REG_QUEUE_SEL = 0x030,
       REG_QUEUE_NUM_MAX = 0x034,
       REG_QUEUE_NUM = 0x038,
       REG_QUEUE_READY = 0x044,
       REG_QUEUE_NOTIFY = VIRTIO_MMIO_NOTIFY,
       REG_INTERRUPT_STATUS = 0x060,
       REG_INTERRUPT_ACK = 0x064,
       REG_STATUS = 0x070,
       REG_QUEUE_DESC_LOW = 0x080,
       REG_QUEUE_DESC_HIGH = 0x084,
       REG_QUEUE_DRIVER_LOW = 0x090,
       REG_QUEUE_DRIVER_HIGH = 0x094,
       REG_QUEUE_DEVICE_LOW = 0x0a0,
       REG_QUEUE_DEVICE_HIGH = 0x0a4,
       REG_SHM_SEL = 0x0ac,
       REG_SHM_LEN_LOW = 0x0b0,
       REG_SHM_LEN_HIGH = 0x0b4,
       REG_SHM_BASE_LOW = 0x0b8,
       REG_SHM_BASE_HIGH = 0x0bc,
       REG_CONFIG_GENERATION = 0x0fc,
       REG_CONFIG = 0x100,
};

enum {
	MAGIC = 0x74726976, /* "virt" */
	VERSION = 2,
	VENDOR = 0,
	NEGOTIATED = VDEV_ACKNOWLEDGE | VDEV_DRIVER | VDEV_FEATURES_OK,
};

/* --- reads ------------------------------------------------------------------ */

static uint32_t feature_word(uint64_t features, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(features >> (32 * sel)) : 0;
}

static const struct vdev_queue *selected(const struct virtio_mmio *m)
{
	return m->queue < m->dev->class->nqueues ? &m->dev->queue[m->queue] : NULL;
}

/* Registers behind the lock; false for one that cannot be read. */
static bool read_locked(const struct virtio_mmio *m, uint64_t off, uint32_t *ret)
{
	const struct vdev *dev = m->dev;
	const struct vdev_queue *vq = selected(m);

	switch (off) {
	case REG_DEVICE_FEATURES:
		*ret = feature_word(dev->class->features(dev), m->device_features);
		return true;
	case REG_QUEUE_NUM_MAX:
		*ret = vq ? dev->class->queue_max : 0;
		return true;
	case REG_QUEUE_READY:
		*ret = vq && vq->ready;
		return true;
	case REG_STATUS:
		*ret = dev->status;
		return true;
	default:
		return false;
	}
}

/* Constants and atomics; false for everything else. */
static bool read_unlocked(const struct virtio_mmio *m, uint64_t off, uint32_t *ret)
{
	switch (off) {
	case REG_MAGIC:
		*ret = MAGIC;
		return true;
	case REG_VERSION:
		*ret = VERSION;
		return true;
	case REG_DEVICE_ID:
		*ret = m->dev->class->id;
		return true;
	case REG_VENDOR_ID:
		*ret = VENDOR;
		return true;
	case REG_INTERRUPT_STATUS:
		*ret = __atomic_load_n(&m->dev->isr, __ATOMIC_SEQ_CST);
		return true;
	case REG_CONFIG_GENERATION:
		*ret = __atomic_load_n(&m->dev->generation, __ATOMIC_SEQ_CST);
		return true;
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH:
		*ret = UINT32_MAX; /* a region that does not exist (4.2.2) */
		return true;
	default:
		return false;
	}
}

static void read_config(const struct virtio_mmio *m, uint64_t off, uint8_t *data, unsigned len)
{
	uint8_t config[VDEV_CONFIG_MAX] = { 0 };
	unsigned size = m->dev->class->config_size;

	vdev_lock(m->dev);
	m->dev->class->config(m->dev, config);
	vdev_unlock(m->dev);
	if (off < size)
		memcpy(data, config + off, len < size - off ? len : size - off);
}

/* An offset that is not aligned is no register's. */
static void mmio_read(struct bus_dev *bus, uint64_t off, void *data, unsigned len)
{
	const struct virtio_mmio *m = container_of(bus, struct virtio_mmio, bus);
	uint32_t v = 0;
	bool known;

	memset(data, 0, len);
	if (off >= REG_CONFIG) {
		read_config(m, off - REG_CONFIG, data, len);
		return;
	}
	known = len == sizeof(v);
	if (known && !read_unlocked(m, off, &v)) {
		vdev_lock(m->dev);
		known = read_locked(m, off, &v);
		vdev_unlock(m->dev);
	}
	if (known)
		memcpy(data, &v, sizeof(v));
	else
		counter_inc(&m->dev->ignored);
}

/* --- writes ----------------------------------------------------------------- */

/* The one bit that may be set next (3.1.1), or 0 at the end of the order. */
static uint8_t next_bit(uint8_t status)
{
	switch (status) {
	case 0:
		return VDEV_ACKNOWLEDGE;
	case VDEV_ACKNOWLEDGE:
		return VDEV_DRIVER;
	case VDEV_ACKNOWLEDGE | VDEV_DRIVER:
		return VDEV_FEATURES_OK;
	case NEGOTIATED:
		return VDEV_DRIVER_OK;
	default:
		return 0;
	}
}

static bool write_status(struct virtio_mmio *m, uint32_t v)
{
	struct vdev *dev = m->dev;
	uint8_t has = dev->status & (uint8_t)~VDEV_NEEDS_RESET;
	uint32_t added = v & ~(uint32_t)(has | VDEV_NEEDS_RESET);

	if (v == 0) {
		vdev_reset(dev);
		m->device_features = m->driver_features = m->queue = 0;
		return true;
	}
	if (dev->resetting)
		return false;
	if (v & VDEV_FAILED) {
		dev->status |= VDEV_FAILED;
		return true;
	}
	if (has & ~v) /* bits go by reset only */
		return false;
	if (added == 0)
		return true;
	if (added != next_bit(dev->status))
		return false;
	/* Refused by the bit staying 0 (3.1.1, step 6). */
	if (added == VDEV_FEATURES_OK && !(dev->acked & VIRTIO_F_VERSION_1))
		return false;
	dev->status |= (uint8_t)added;
	if (added == VDEV_DRIVER_OK)
		vdev_activate(dev);
	return true;
}

static bool write_features(struct virtio_mmio *m, uint32_t v)
{
	struct vdev *dev = m->dev;
	uint32_t offered = feature_word(dev->class->features(dev), m->driver_features);
	unsigned shift = 32 * (m->driver_features & 1);

	if (dev->status != (VDEV_ACKNOWLEDGE | VDEV_DRIVER) || m->driver_features > 1)
		return false;
	dev->acked &= ~((uint64_t)UINT32_MAX << shift);
	dev->acked |= (uint64_t)(v & offered) << shift;
	return (v & ~offered) == 0;
}

static void set_low(gpa_t *addr, uint32_t v)
{
	*addr = (*addr & ~(gpa_t)UINT32_MAX) | v;
}

static void set_high(gpa_t *addr, uint32_t v)
{
	*addr = (*addr & UINT32_MAX) | (gpa_t)v << 32;
}

/* Registers of the selected queue; false: not one, or not now. */
static bool write_queue(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	struct vdev_queue *vq;

	if (m->dev->status != NEGOTIATED || m->queue >= m->dev->class->nqueues)
		return false;
	vq = &m->dev->queue[m->queue];
	if (off == REG_QUEUE_READY) {
		vq->ready = v == 1;
		return v <= 1;
	}
	if (vq->ready)
		return false;
	switch (off) {
	case REG_QUEUE_NUM:
		vq->cfg.size = v > UINT16_MAX ? 0 : (uint16_t)v; /* 0 never starts */
		return true;
	case REG_QUEUE_DESC_LOW:
		set_low(&vq->cfg.desc, v);
		return true;
	case REG_QUEUE_DESC_HIGH:
		set_high(&vq->cfg.desc, v);
		return true;
	case REG_QUEUE_DRIVER_LOW:
		set_low(&vq->cfg.avail, v);
		return true;
	case REG_QUEUE_DRIVER_HIGH:
		set_high(&vq->cfg.avail, v);
		return true;
	case REG_QUEUE_DEVICE_LOW:
		set_low(&vq->cfg.used, v);
		return true;
	case REG_QUEUE_DEVICE_HIGH:
		set_high(&vq->cfg.used, v);
		return true;
	default:
		return false;
	}
}

static bool write_locked(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	if (off == REG_STATUS)
		return write_status(m, v);
	if (m->dev->resetting)
		return false;
	switch (off) {
	case REG_DEVICE_FEATURES_SEL:
		m->device_features = v;
		return true;
	case REG_DRIVER_FEATURES_SEL:
		m->driver_features = v;
		return true;
	case REG_DRIVER_FEATURES:
		return write_features(m, v);
	case REG_QUEUE_SEL:
		m->queue = v;
		return true;
	case REG_SHM_SEL:
		return true; /* there is none to select */
	default:
		return write_queue(m, off, v);
	}
}

static bool write_config(struct virtio_mmio *m, uint64_t off, const void *data, unsigned len)
{
	struct vdev *dev = m->dev;
	unsigned size = dev->class->config_size;
	bool done = false;

	vdev_lock(dev);
	if (!dev->resetting && (dev->status & VDEV_DRIVER) && !(dev->status & VDEV_FAILED) &&
	    dev->class->config_write && off < size && len <= size - off)
		done = dev->class->config_write(dev, (unsigned)off, data, len) == 0;
	vdev_unlock(dev);
	if (!done && dev->count.cfg_fails)
		counter_inc(dev->count.cfg_fails);
	return done;
}

/* Before DRIVER_OK too: the loop then takes the event and runs nothing. */
static bool notify(struct virtio_mmio *m, uint32_t queue)
{
	if (queue >= m->dev->class->nqueues)
		return false;
	fd_event_signal(vdev_kick_fd(m->dev, queue));
	return true;
}

static bool write_register(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	bool done;

	if (off == REG_QUEUE_NOTIFY)
		return notify(m, v);
	if (off == REG_INTERRUPT_ACK) {
		__atomic_fetch_and(&m->dev->isr, ~v, __ATOMIC_SEQ_CST);
		return true;
	}
	vdev_lock(m->dev);
	done = write_locked(m, off, v);
	vdev_unlock(m->dev);
	return done;
}

static void mmio_write(struct bus_dev *bus, uint64_t off, const void *data, unsigned len)
{
	struct virtio_mmio *m = container_of(bus, struct virtio_mmio, bus);
	bool done = false;
	uint32_t v = 0;

	if (off >= REG_CONFIG) {
		done = write_config(m, off - REG_CONFIG, data, len);
	} else if (len == sizeof(v) || (len < sizeof(v) && off == REG_QUEUE_NOTIFY)) {
		memcpy(&v, data, len);
		done = write_register(m, off, v);
	}
	if (!done)
		counter_inc(&m->dev->ignored);
}

/* --- making, state ----------------------------------------------------------- */

static const struct bus_class mmio_class = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
};

int virtio_mmio_create(struct vdev *dev, struct virtio_mmio **ret, struct err *e)
{
	struct virtio_mmio *m = FAULT(-ENOMEM) ? NULL : calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "%s: no memory for its registers",
			       vdev_name(dev));
	m->bus.class = &mmio_class;
	m->dev = dev;
	*ret = m;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *m)
{
	if (!m)
		return;
	vdev_destroy(m->dev);
	free(m);
}

struct bus_dev *virtio_mmio_bus(struct virtio_mmio *m)
{
	return &m->bus;
}

struct vdev *virtio_mmio_dev(struct virtio_mmio *m)
{
	return m->dev;
}

int virtio_mmio_save(struct virtio_mmio *m, struct state_out *out)
{
	vdev_lock(m->dev);
	state_put_u32(out, m->device_features);
	state_put_u32(out, m->driver_features);
	state_put_u32(out, m->queue);
	vdev_unlock(m->dev);
	return vdev_save(m->dev, out);
}

int virtio_mmio_load(struct virtio_mmio *m, struct state_in *in, struct err *e)
{
	int r;

	vdev_lock(m->dev);
	m->device_features = state_get_u32(in);
	m->driver_features = state_get_u32(in);
	m->queue = state_get_u32(in);
	vdev_unlock(m->dev);
	r = vdev_load(m->dev, in, e);
	if (r == 0 && state_in_end(in) < 0)
		r = err_set(e, ERR_INVALID, -EINVAL, "%s: saved state is damaged",
			    vdev_name(m->dev));
	return r;
}
