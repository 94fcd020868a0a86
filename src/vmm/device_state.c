/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/device_state.h"

#include "devices/i8042.h"
#include "devices/serial.h"
#include "vmm/snapshot.h"
#include "vmm/virtio_kvm.h"

/* --- save ------------------------------------------------------------------- */

static int save_virtio(const struct virtio_slots *slots, struct snap_out *out, struct err *e)
{
	for (unsigned i = 0; i < slots->n; i++) {
		struct virtio_mmio *mmio = slots->slot[i].mmio;
		struct state_out *o = snap_begin(out, SNAP_VIRTIO, i, SNAP_REQUIRED);
		int r;

		state_put_u32(o, vdev_id(virtio_mmio_dev(mmio)));
		r = virtio_mmio_save(mmio, o);
		snap_end(out);
		if (r < 0)
			return err_set(e, ERR_INTERNAL, r, "%s: its state is too large",
				       vdev_name(virtio_mmio_dev(mmio)));
	}
	return 0;
}

static void save_serial(struct serial *serial, struct snap_out *out)
{
	struct state_out *o = snap_begin(out, SNAP_SERIAL, 0, SNAP_REQUIRED);
	struct serial_state s;

	serial_save(serial, &s);
	state_put_u8(o, s.ier);
	state_put_u8(o, s.fcr);
	state_put_u8(o, s.lcr);
	state_put_u8(o, s.mcr);
	state_put_u8(o, s.scr);
	state_put_u8(o, s.dll);
	state_put_u8(o, s.dlm);
	state_put_u8(o, s.lsr_errors);
	state_put_u8(o, s.msr_deltas);
	state_put_u8(o, s.thre_pending);
	state_put_u8(o, s.nrx);
	state_put_mem(o, s.rx, sizeof(s.rx));
	snap_end(out);
}

static void save_i8042(struct i8042 *i8042, struct snap_out *out)
{
	struct state_out *o = snap_begin(out, SNAP_I8042, 0, SNAP_REQUIRED);
	struct i8042_state s;

	i8042_save(i8042, &s);
	state_put_u8(o, s.command_byte);
	state_put_u8(o, s.command);
	state_put_u8(o, s.kbd_command);
	state_put_u8(o, s.output_port);
	state_put_u8(o, s.scanning);
	state_put_u8(o, s.used);
	state_put_u8(o, s.nbuffer);
	state_put_mem(o, s.buffer, sizeof(s.buffer));
	snap_end(out);
}

int device_state_save(const struct device_state *d, struct snap_out *out, struct err *e)
{
	int r = save_virtio(d->virtio, out, e);

	if (r < 0)
		return r;
	save_serial(d->serial, out);
	save_i8042(d->i8042, out);
	return 0;
}

/* --- load ------------------------------------------------------------------- */

static int load_virtio(const struct virtio_slots *slots, struct snap_in *in, struct err *e)
{
	for (unsigned i = 0; i < slots->n; i++) {
		struct virtio_mmio *mmio = slots->slot[i].mmio;
		struct vdev *dev = virtio_mmio_dev(mmio);
		struct state_in s;
		uint32_t id;
		int r = snap_take(in, SNAP_VIRTIO, i, &s, e);

		if (r < 0)
			return err_wrap(e, "%s", vdev_name(dev));
		id = state_get_u32(&s);
		if (id != vdev_id(dev))
			return err_set(e, ERR_INVALID, -EINVAL,
				       "%s: record `" SNAP_VIRTIO "' %u is of a device of type %u",
				       vdev_name(dev), i, id);
		r = virtio_mmio_load(mmio, &s, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_serial(struct serial *serial, struct snap_in *in, struct err *e)
{
	struct serial_state to = { 0 };
	struct state_in s;
	int r = snap_take(in, SNAP_SERIAL, 0, &s, e);

	if (r < 0)
		return r;
	to.ier = state_get_u8(&s);
	to.fcr = state_get_u8(&s);
	to.lcr = state_get_u8(&s);
	to.mcr = state_get_u8(&s);
	to.scr = state_get_u8(&s);
	to.dll = state_get_u8(&s);
	to.dlm = state_get_u8(&s);
	to.lsr_errors = state_get_u8(&s);
	to.msr_deltas = state_get_u8(&s);
	to.thre_pending = state_get_u8(&s);
	to.nrx = state_get_u8(&s);
	state_get_mem(&s, to.rx, sizeof(to.rx));
	r = snap_taken(&s, SNAP_SERIAL, 0, e);
	if (r == 0 && serial_load(serial, &to) < 0)
		r = err_set(e, ERR_INVALID, -EINVAL,
			    "record `" SNAP_SERIAL "' 0 is of no state that a UART can have");
	return r;
}

static int load_i8042(struct i8042 *i8042, struct snap_in *in, struct err *e)
{
	struct i8042_state to = { 0 };
	struct state_in s;
	int r = snap_take(in, SNAP_I8042, 0, &s, e);

	if (r < 0)
		return r;
	to.command_byte = state_get_u8(&s);
	to.command = state_get_u8(&s);
	to.kbd_command = state_get_u8(&s);
	to.output_port = state_get_u8(&s);
	to.scanning = state_get_u8(&s);
	to.used = state_get_u8(&s);
	to.nbuffer = state_get_u8(&s);
	state_get_mem(&s, to.buffer, sizeof(to.buffer));
	r = snap_taken(&s, SNAP_I8042, 0, e);
	if (r == 0 && i8042_load(i8042, &to) < 0)
		r = err_set(e, ERR_INVALID, -EINVAL,
			    "record `" SNAP_I8042 "' 0 is of no state that a controller can have");
	return r;
}

int device_state_load(const struct device_state *d, struct snap_in *in, struct err *e)
{
	int r = load_virtio(d->virtio, in, e);

	if (r == 0)
		r = load_serial(d->serial, in, e);
	return r == 0 ? load_i8042(d->i8042, in, e) : r;
}
