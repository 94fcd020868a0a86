/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: memory, vCPUs, buses and devices, built from a checked configuration
 * and opened files.
 *
 * Main thread. A machine is built whole or not at all; a failed build leaves nothing
 * behind and its files as they were, so that it may be tried again. The vCPU threads
 * exist, isolated and parked, when machine_create() is done (see machine_vcpus()).
 */
#pragma once

#include "base/loop.h"
#include "base/thread.h"
#include "conf/config.h"
#include "devices/boot_timer.h"
#include "devices/end.h"

struct backing;
struct console;
struct machine;
struct snap_in;
struct snap_out;

struct machine_load { /* from a snapshot; the caller's */
	struct snap_in *in;
	int memory_fd;	     /* the memory file, of the right size */
	bool clock_realtime; /* the time since the snapshot has passed for the guest too */
};

struct machine_cfg { /* everything the caller's; descriptors are duplicated */
	const struct conf_config *config;
	int kernel_fd;
	int initrd_fd;			  /* -1: none */
	const int *drive_fd;		  /* one for each of config->drives */
	const int *net_fd;		  /* one for each of config->nets */
	int vsock_fd;			  /* listens; of config->vsock */
	int console_out, console_in;	  /* -1: none */
	struct console *console;	  /* instead of both, longer than the machine; NULL: none */
	const struct conf_serial *serial; /* limits of the console */
	struct mmds *mmds;		  /* outlives the machine */
	bool boot_timer;
	usec_t start, start_cpu; /* when the start was asked for */
	struct loop *loop;
	const struct isolation *isolation;
	const struct machine_load *load; /* NULL: it boots from its kernel */
};

/* A loaded machine's devices are paused, see machine_resume_devices(). */
must_check int machine_create(const struct machine_cfg *cfg, struct machine **ret_machine,
			      struct err *e);

/* Every vCPU parked, never started, or ordered to quit and stopped. NULL is fine. */
void machine_destroy(struct machine *machine);

/* Orders to all vCPUs; machine_vcpus() tells when they have been obeyed. */
void machine_run(struct machine *machine);
void machine_park(struct machine *machine);
void machine_quit(struct machine *machine);

enum machine_vcpus {
	MACHINE_VCPUS_MOVING, /* not all there yet */
	MACHINE_VCPUS_PARKED,
	MACHINE_VCPUS_STOPPED,
	MACHINE_VCPUS_FAILED, /* one could not be isolated: see the error */
};
must_check enum machine_vcpus machine_vcpus(const struct machine *machine, struct err *e);

/* Readable after a vCPU changed its state; take it with fd_event_take(). */
must_check int machine_vcpu_event(const struct machine *machine);

/* Readable when the machine is to end, and why. */
must_check int machine_end_event(const struct machine *machine);
must_check enum end_reason machine_end_reason(const struct machine *machine);

/* NULL: the machine has none. */
must_check struct boot_timer *machine_boot_timer(struct machine *machine);

/* A drive's or an interface's device; NULL: none has this id. */
must_check struct vdev *machine_drive(struct machine *machine, const char *id);
must_check struct vdev *machine_net(struct machine *machine, const char *id);

/*
 * Devices stop and go on, for a pause; vCPUs are parked meanwhile. After the pause
 * machine_devices_idle() says whether work in flight has ended.
 */
void machine_pause_devices(struct machine *machine);
void machine_resume_devices(struct machine *machine);
must_check bool machine_devices_idle(struct machine *machine);

/* The guest was stopped and is about to go on: its watchdogs must not bark. */
void machine_tell_paused(struct machine *machine);

must_check int machine_ctrl_alt_del(struct machine *machine, struct err *e);

/*
 * Everything of a machine whose vCPUs and devices are paused and idle, but its memory, as
 * records; `config' is what it was built from. The machine stays as it is.
 */
must_check int machine_save(struct machine *machine, const struct conf_config *config,
			    struct snap_out *out, struct err *e);
must_check const struct backing *machine_memory(const struct machine *machine);

/* What the guest has written to drives that promise it is on the disks. Devices are idle. */
must_check int machine_sync_drives(struct machine *machine, struct err *e);

/* Tells a loaded guest that it was: its generation has changed. After the last load. */
void machine_tell_loaded(struct machine *machine);

/* Writes out what the guest has sent to its console, waiting at most limit_ms. */
void machine_flush_console(struct machine *machine, int limit_ms);
