/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a state file. Either as it stands (first byte even), or as a list of
 * records that are put into a file whose checksums are right: what a forger can write.
 * Of what is accepted the configuration is read and the devices are loaded, over memory
 * of which nothing may be touched beyond its end; what they then are is saved, loaded
 * and saved again, and must be the same.
 *
 *   record  number in names[] (1), instance (1), length (2), contents
 */
#include "../ensure.h"

#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "devices/i8042.h"
#include "devices/serial.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/rng/rng.h"
#include "vmm/device_state.h"
#include "vmm/snapshot.h"
#include "vmm/virtio_kvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEM_SIZE = 1 << 20, DISK_SIZE = 1 << 20, PAGE = 4096 };

static const char *const names[] = {
	"config", "machine", "kvm-caps", "host",      "virtio",	    "serial",
	"i8042",  "irqchip", "clock",	 "vcpu-msrs", "vcpu-xsave", "unknown",
};

struct rig {
	struct loop loop;
	struct gmem mem;
	struct virtio_slots virtio;
	struct serial *serial;
	struct i8042 i8042;
	struct end_request end;
};

/* Beside a page of nothing, so that an access beyond the end is seen. */
static void *memory(void)
{
	static uint8_t *p;
	int r;

	if (p)
		return p;
	p = mmap(NULL, MEM_SIZE + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ENSURE(p != MAP_FAILED);
	r = mprotect(p, MEM_SIZE, PROT_READ | PROT_WRITE);
	ENSURE(r == 0);
	return p;
}

static void add(struct rig *rig, struct vdev *dev)
{
	struct virtio_slot *slot = &rig->virtio.slot[rig->virtio.n++];
	struct err e;
	int r = vdev_attach(dev, &rig->loop, &rig->mem, (struct irq){ .fd = -1 }, &e);

	slot->irq_fd = -1;
	if (r == 0)
		r = virtio_mmio_create(dev, &slot->mmio, &e);
	ENSURE(r == 0);
	vdev_pause(dev);
}

static struct device_state make(struct rig *rig)
{
	const struct serial_cfg serial = { .out_fd = -1, .in_fd = -1 };
	struct blk_cfg disk = { .id = "d", .fd = memfd_create("disk", MFD_CLOEXEC) };
	struct vdev *dev = NULL;
	struct err e;
	int r = loop_init(&rig->loop);

	ENSURE(r == 0 && disk.fd >= 0 && ftruncate(disk.fd, DISK_SIZE) == 0);
	r = gmem_add(&rig->mem, 0, MEM_SIZE, memory());
	ENSURE(r == 0);
	r = end_request_init(&rig->end);
	ENSURE(r == 0);
	r = blk_create(&disk, &dev, &e);
	ENSURE(r == 0);
	add(rig, dev);
	r = rng_create(&dev, &e);
	ENSURE(r == 0);
	add(rig, dev);
	i8042_init(&rig->i8042, (struct irq){ .fd = -1 }, &rig->end);
	r = serial_create(&serial, &rig->loop, (struct irq){ .fd = -1 }, &rig->serial, &e);
	ENSURE(r == 0);
	return (struct device_state){ &rig->virtio, rig->serial, &rig->i8042 };
}

static void unmake(struct rig *rig)
{
	virtio_detach_all(&rig->virtio);
	serial_destroy(rig->serial);
	i8042_fini(&rig->i8042);
	end_request_fini(&rig->end);
	loop_fini(&rig->loop);
}

/* Loads into devices of their own and saves what they are. */
static int load_and_save(struct snap_in *in, struct snap_out *out, struct err *e)
{
	struct rig rig = { 0 };
	const struct device_state d = make(&rig);
	int r = device_state_load(&d, in, e);

	ENSURE(r == 0 || (e->code == r && e->msg[0]));
	if (r == 0) {
		r = snap_out_init(out, e);
		ENSURE(r == 0);
		r = device_state_save(&d, out, e);
		if (r == 0)
			r = snap_out_finish(out, e);
		ENSURE(r == 0);
		/* As a resume does: whatever the rings hold is looked at. */
		for (unsigned i = 0; i < rig.virtio.n; i++)
			vdev_resume(virtio_mmio_dev(rig.virtio.slot[i].mmio));
		for (unsigned turn = 0; turn < 4; turn++) {
			r = loop_turn(&rig.loop, 0);
			ENSURE(r == 0);
		}
		r = 0;
	}
	unmake(&rig);
	return r;
}

/* Token buckets refill while time passes: of those only what is loaded can be compared. */
static void load_devices(struct snap_in *in)
{
	struct snap_out first = { 0 }, second = { 0 };
	struct snap_in again;
	struct err e = { 0 };
	int r;

	if (load_and_save(in, &first, &e) < 0)
		return;
	r = snapshot_open(first.out.buf, first.out.len, &again, &e);
	ENSURE(r == 0);
	r = load_and_save(&again, &second, &e);
	ENSURE(r == 0);
	ENSURE(first.out.len == second.out.len);
	ENSURE(memcmp(first.out.buf, second.out.buf, first.out.len) == 0);
	snap_in_fini(&again);
	snap_out_fini(&first);
	snap_out_fini(&second);
}

static void try(const uint8_t *data, size_t size)
{
	static char text[1 << 20];
	struct conf_config config;
	struct err e = { 0 };
	struct snap_in in;
	struct text t;
	int r;

	text_init(&t, text, sizeof(text));
	r = snapshot_describe(data, size, &t, &e);
	ENSURE(r == 0 || (e.code == r && e.msg[0]));
	e = (struct err){ 0 };
	r = snapshot_open(data, size, &in, &e);
	ENSURE(r == 0 || (e.code == r && e.msg[0]));
	if (r < 0)
		return;
	r = snapshot_config(&in, &config, &e);
	ENSURE(r == 0 || (e.code == r && e.msg[0]));
	if (r == 0)
		conf_config_fini(&config);
	load_devices(&in);
	snap_in_fini(&in);
}

static void forge(const uint8_t *data, size_t size)
{
	struct snap_out out;
	struct err e;
	int r = snap_out_init(&out, &e);

	ENSURE(r == 0);
	while (size >= 4) {
		const char *name = names[data[0] % ARRAY_SIZE(names)];
		size_t len = data[2] | (size_t)data[3] << 8;
		enum snap_need need = data[0] & 0x80 ? SNAP_OPTIONAL : SNAP_REQUIRED;

		len = len < size - 4 ? len : size - 4;
		state_put_mem(snap_begin(&out, name, data[1], need), data + 4, len);
		snap_end(&out);
		data += 4 + len;
		size -= 4 + len;
	}
	if (snap_out_finish(&out, &e) == 0)
		try(out.out.buf, out.out.len);
	snap_out_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;

	if (!begun) {
		log_init("fuzz");
		log_configure(&(struct log_cfg){ .level = LOG_OFF });
		begun = true;
	}
	if (size == 0)
		return 0;
	memset(memory(), 0, MEM_SIZE);
	if (data[0] & 1)
		forge(data + 1, size - 1);
	else
		try(data + 1, size - 1);
	return 0;
}
