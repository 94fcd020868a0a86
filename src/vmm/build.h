/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's inside, for the files that build, save and load it and for nobody
 * else: machine.c (the whole, its vCPUs), build_devices.c, build_boot.c, machine_state.c.
 *
 * Main thread. What fails half way is undone by machine_destroy().
 */
#pragma once

#include "mem/backing.h"
#include "vmm/drives.h"
#include "vmm/kvm.h"
#include "vmm/loader.h"
#include "vmm/machine.h"
#include "vmm/mmds_nets.h"
#include "vmm/nets.h"
#include "vmm/platform.h"
#include "vmm/vcpu.h"
#include "vmm/virtio_kvm.h"

/* All owned; machine_destroy() undoes any part of it that has been made. */
struct machine {
	struct kvm kvm;
	struct vm vm;
	struct backing backing;
	struct gmem mem;
	struct bus ports, mmio;

	struct end_request end;
	bool has_end;
	int vcpu_event;

	struct platform platform;
	struct drives drives;
	struct nets nets;
	struct mmds_nets mmds_nets;
	struct virtio_slots virtio;
	struct cmdline cmdline;
	bool pic_only; /* `noapic' */

	unsigned nvcpus;
	struct vcpu *vcpus;
};

/* Drives, entropy and what else is configured, in the contract's order (2.7). */
must_check int build_virtio(struct machine *m, const struct machine_cfg *cfg, struct err *e);

/* What the guest finds in its memory at its first instruction. */
must_check int build_boot(struct machine *m, const struct machine_cfg *cfg,
			  struct kernel_image *ret_kernel, struct err *e);

/*
 * Devices, vCPUs and what KVM knows beside, as the snapshot has them; all are built and
 * nothing has run. Devices are paused then.
 */
must_check int build_loaded(struct machine *m, const struct machine_load *load, struct err *e);
