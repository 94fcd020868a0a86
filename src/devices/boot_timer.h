/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot timer: the guest's init writes the byte 123 to offset 0 of an MMIO page and
 * the time since the start of the machine is recorded, once.
 *
 * `fd' becomes readable then. The machine adds a loop_src of its own for it and logs
 * boot_timer_text() from that callback; the device itself does not log.
 */
#pragma once

#include "base/clock.h"
#include "devices/bus.h"

enum {
	BOOT_TIMER_SIZE = 0x1000,
	BOOT_TIMER_DONE = 123,	   /* the byte that counts */
	BOOT_TIMER_TEXT_MAX = 160, /* bytes that hold any text */
};

struct boot_timer {
	struct bus_dev dev; /* MMIO, BOOT_TIMER_SIZE */
	int fd;		    /* owned */
	usec_t start, start_cpu;
	usec_t took, took_cpu; /* valid once fd was readable */
	int done;	       /* (A) */
};

/* 0 or -errno. Counts from `start' (monotonic) and `start_cpu' (process time). */
must_check int boot_timer_init(struct boot_timer *t, usec_t start, usec_t start_cpu);
void boot_timer_fini(struct boot_timer *t);

/* Moves the start; before the first vCPU runs. */
void boot_timer_start(struct boot_timer *t, usec_t start, usec_t start_cpu);

/*
 * "Guest-boot-time =  12345 us 12 ms,   2345 CPU us 2 CPU ms", after fd_event_take(fd).
 * False, and an empty text, when the guest has not reported.
 */
bool boot_timer_text(const struct boot_timer *t, char text[BOOT_TIMER_TEXT_MAX]);
