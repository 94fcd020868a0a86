/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a user may ask of the machine, and when it is legal.
 *
 * An action is made by whoever received the request (API thread, configuration
 * file), handed over with vmm_submit() and answered once through `done'. It is
 * already checked by itself; whether it is legal now is decided in one place,
 * action.c. The submitter owns the action before vmm_submit() and again from the
 * call of `done'.
 */
#pragma once

#include "base/err.h"
#include "base/mbox.h"
#include "conf/balloon.h"
#include "conf/boot_source.h"
#include "conf/cpu.h"
#include "conf/drive.h"
#include "conf/entropy.h"
#include "conf/logger.h"
#include "conf/machine.h"
#include "conf/memory_hotplug.h"
#include "conf/metrics.h"
#include "conf/mmds.h"
#include "conf/net.h"
#include "conf/pmem.h"
#include "conf/serial.h"
#include "conf/snapshot.h"
#include "conf/vsock.h"

/* Beside each: what it carries, whether it is legal before the start and after. */
enum action_type {
	ACTION_PUT_BOOT_SOURCE,	     /* boot_source		yes	no */
	ACTION_PUT_MACHINE_CONFIG,   /* machine			yes	no */
	ACTION_PATCH_MACHINE_CONFIG, /* machine_patch		yes	no */
	ACTION_PUT_CPU_CONFIG,	     /* cpu			yes	no */
	ACTION_PUT_DRIVE,	     /* drive			yes	no */
	ACTION_PATCH_DRIVE,	     /* drive_patch		no	yes */
	ACTION_PUT_NET,		     /* net			yes	no */
	ACTION_PATCH_NET,	     /* net_patch		no	yes */
	ACTION_PUT_VSOCK,	     /* vsock			yes	no */
	ACTION_PUT_MMDS_CONFIG,	     /* mmds_config		yes	no */
	ACTION_PUT_MMDS,	     /* mmds			yes	yes */
	ACTION_PATCH_MMDS,	     /* mmds			yes	yes */
	ACTION_PUT_ENTROPY,	     /* entropy			yes	no */
	ACTION_PUT_SERIAL,	     /* serial			yes	no */
	ACTION_PUT_LOGGER,	     /* logger			yes	no */
	ACTION_PUT_METRICS,	     /* metrics			once	no */
	ACTION_INSTANCE_START,	     /*				yes	no */
	ACTION_SEND_CTRL_ALT_DEL,    /*				no	yes */
	ACTION_FLUSH_METRICS,	     /*				no	yes */
	ACTION_PAUSE,		     /* idempotent		no	yes */
	ACTION_RESUME,		     /* idempotent		no	yes */
	ACTION_SNAPSHOT_CREATE,	     /* snapshot_create		no	paused */
	ACTION_SNAPSHOT_LOAD,	     /* snapshot_load		fresh	no */

	/* Of what this version lacks: refused even where they are legal (absent.h). */
	ACTION_PUT_BALLOON,	       /* balloon		yes	no */
	ACTION_PUT_PMEM,	       /* pmem			yes	no */
	ACTION_PUT_MEMORY_HOTPLUG,     /* memory_hotplug	yes	no */
	ACTION_BALLOON_REQUEST,	       /*			no	yes */
	ACTION_BALLOON_PATCH,	       /*			no	yes */
	ACTION_PMEM_PATCH,	       /*			no	yes */
	ACTION_MEMORY_HOTPLUG_REQUEST, /*			no	yes */
	ACTION_UNPLUG,		       /*			no	yes */
};

struct mmds_doc;
struct action;
typedef void (*action_fn)(struct action *action);

struct action {
	struct mbox_msg msg; /* the vmm's while submitted */
	enum action_type type;
	union {
		struct conf_boot_source boot_source;
		struct conf_machine machine;
		struct conf_machine_patch machine_patch;
		struct conf_cpu cpu;
		struct conf_drive drive;
		struct conf_drive_patch drive_patch;
		struct conf_net net;
		struct conf_net_patch net_patch;
		struct conf_vsock vsock;
		struct conf_mmds mmds_config;
		struct mmds_doc *mmds; /* one reference, which the vmm takes over */
		struct conf_entropy entropy;
		struct conf_serial serial;
		struct conf_logger logger;
		struct conf_snapshot_create snapshot_create;
		struct conf_snapshot_load snapshot_load;
		struct conf_balloon balloon;
		struct conf_pmem pmem;
		struct conf_memory_hotplug memory_hotplug;
		struct conf_metrics metrics;
	};
	bool invalid;	/* err says what is wrong with it; asked is only whether it is its time */
	struct err err; /* the answer: err.code 0 is success, else the text is for the user */
	action_fn done; /* called on the main thread; must not block */
};
