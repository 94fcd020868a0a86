/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/vm_state.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"

enum { IRQCHIPS = 3 }; /* two PICs and the I/O APIC: KVM_IRQCHIP_... */

static int vm_ioctl(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = FAULT(-EINVAL);

	if (r == 0 && ioctl(fd, request, arg) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: %s", name, strerror(-r));
	return 0;
}

/* --- save ----------------------------------------------------------------------- */

static int save_irqchip(int fd, struct snap_out *out, struct err *e)
{
	struct kvm_irqchip chip[IRQCHIPS] = { 0 };

	for (uint32_t i = 0; i < IRQCHIPS; i++) {
		int r;

		chip[i].chip_id = i;
		r = vm_ioctl(fd, KVM_GET_IRQCHIP, &chip[i], "KVM_GET_IRQCHIP", e);
		if (r < 0)
			return r;
	}
	state_put_mem(snap_begin(out, "irqchip", 0, SNAP_REQUIRED), chip, sizeof(chip));
	snap_end(out);
	return 0;
}

static int save_pit(int fd, struct snap_out *out, struct err *e)
{
	struct kvm_pit_state2 pit = { 0 };
	int r = vm_ioctl(fd, KVM_GET_PIT2, &pit, "KVM_GET_PIT2", e);

	if (r < 0)
		return r;
	state_put_mem(snap_begin(out, "pit", 0, SNAP_REQUIRED), &pit, sizeof(pit));
	snap_end(out);
	return 0;
}

int vm_state_save(int vm_fd, struct snap_out *out, struct err *e)
{
	int r = save_irqchip(vm_fd, out, e);

	return r == 0 ? save_pit(vm_fd, out, e) : r;
}

/* --- load ----------------------------------------------------------------------- */

static int load_irqchip(int fd, struct snap_in *in, struct err *e)
{
	struct kvm_irqchip chip[IRQCHIPS] = { 0 };
	struct state_in s;
	int r = snap_take(in, "irqchip", 0, &s, e);

	if (r < 0)
		return r;
	state_get_mem(&s, chip, sizeof(chip));
	r = snap_taken(&s, "irqchip", 0, e);
	for (uint32_t i = 0; i < IRQCHIPS && r == 0; i++) {
		chip[i].chip_id = i;
		r = vm_ioctl(fd, KVM_SET_IRQCHIP, &chip[i], "KVM_SET_IRQCHIP", e);
	}
	return r;
}

static int load_pit(int fd, struct snap_in *in, struct err *e)
{
	struct kvm_pit_state2 pit = { 0 };
	struct state_in s;
	int r = snap_take(in, "pit", 0, &s, e);

	if (r < 0)
		return r;
	state_get_mem(&s, &pit, sizeof(pit));
	r = snap_taken(&s, "pit", 0, e);
	return r < 0 ? r : vm_ioctl(fd, KVM_SET_PIT2, &pit, "KVM_SET_PIT2", e);
}

int vm_state_load(int vm_fd, struct snap_in *in, struct err *e)
{
	int r = load_irqchip(vm_fd, in, e);

	return r == 0 ? load_pit(vm_fd, in, e) : r;
}
