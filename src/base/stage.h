/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of a start, and when each was first reached: for those who ask why a boot
 * has become slow. Any thread marks and reads.
 */
#pragma once

#include "base/clock.h"
#include "base/text.h"

enum stage {
	STAGE_PROCESS_START, /* main() was entered */
	STAGE_API_READY,     /* the API's thread is isolated and serves */
	STAGE_VM_CREATED,    /* KVM has made the virtual machine */
	STAGE_MEMORY,	     /* the guest's memory is there */
	STAGE_KERNEL_LOADED, /* kernel, initrd, tables: all that the guest finds in memory */
	STAGE_FIRST_RUN,     /* a vCPU enters the guest */
	STAGE_FIRST_DEVICE,  /* the guest touches a device on the MMIO bus */
	STAGE_BOOT_TIMER,    /* the guest says that it is up (--boot-timer) */
	STAGES,
};

/* The first time counts. Cheap when it has been marked before. `when' is monotonic. */
void stage_mark(enum stage stage);
void stage_mark_at(enum stage stage, usec_t when);

/* A machine is about to be built: what an earlier attempt has reached is forgotten. */
void stage_forget_machine(void);

/* Monotonic time of it, 0: not reached. */
must_check usec_t stage_reached(enum stage stage);

enum { STAGE_TEXT_MAX = 1024 }; /* bytes that stage_print_text() needs at most */

/* OpenMetrics: seconds since the start of the process, for each stage reached. */
void stage_print_text(struct text *t);
