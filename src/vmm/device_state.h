/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a machine to records of a snapshot and back: each virtio device with its
 * transport, the console, the keyboard controller. Knows no KVM.
 *
 * Main thread, while devices are paused and idle and no vCPU runs. What is loaded is
 * untrusted: an error leaves devices that are fit to be destroyed and nothing else.
 */
#pragma once

#include "base/err.h"
#include "vmm/snapshot_records.h"

struct virtio_slots;
struct serial;
struct i8042;

struct device_state { /* the machine's */
	const struct virtio_slots *virtio;
	struct serial *serial;
	struct i8042 *i8042;
};

must_check int device_state_save(const struct device_state *d, struct snap_out *out, struct err *e);

/* Devices that have just been made, from the configuration that was saved with them. */
must_check int device_state_load(const struct device_state *d, struct snap_in *in, struct err *e);
