/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot's state file holds: the records and their names. A file is known by its
 * head (snapshot_records.h); this is what stands in it:
 *
 *   config      the machine's configuration, as GET /vm/config prints it
 *   machine     how many vCPUs it has, and where its memory is, in the memory file's order
 *   kvm-caps    capabilities of KVM that the CPU template asked for or did without
 *   host        optional: the processor that it ran on
 *   virtio N    the N-th device: its type, its transport, itself
 *   serial, i8042
 *   irqchip, pit, clock   see x86/vm_state.h
 *   vcpu-... N  see x86/vcpu_state.h
 */
#pragma once

#include "conf/config.h"
#include "vmm/snapshot_records.h"

struct machine;

#define SNAP_CONFIG   "config"
#define SNAP_MACHINE  "machine"
#define SNAP_KVM_CAPS "kvm-caps"
#define SNAP_HOST     "host"
#define SNAP_VIRTIO   "virtio"
#define SNAP_SERIAL   "serial"
#define SNAP_I8042    "i8042"

/* snap_in_open() with all of these names. */
must_check int snapshot_open(const void *data, size_t len, struct snap_in *ret, struct err *e);

/*
 * The configuration in a snapshot, checked like any other; conf_config_fini() it. It
 * says which records there must be.
 */
must_check int snapshot_config(struct snap_in *in, struct conf_config *ret, struct err *e);

/* The lines of --describe-snapshot: the version, then the records. */
must_check int snapshot_describe(const void *data, size_t len, struct text *t, struct err *e);
