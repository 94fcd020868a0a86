/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyboard controller with a keyboard and no aux port: enough for Linux' i8042 and
 * atkbd drivers, for the CPU reset line (command 0xfe) and for Ctrl-Alt-Del.
 *
 * The window is ports 0x60..0x64: data at 0, command and status at 4, nothing between
 * (0x61 is the PIT's and answered by KVM). Only bytes are ports here; wider accesses
 * read zeros, are ignored when written, and are counted.
 *
 * The keyboard speaks scan code set 2. While the command byte asks for translation
 * (XLATE) its codes arrive as set 1, as from a real controller.
 */
#pragma once

#include <pthread.h>

#include "base/metrics.h"
#include "devices/bus.h"
#include "devices/end.h"
#include "devices/irq.h"

enum {
	I8042_PORT = 0x60,
	I8042_PORT_SIZE = 5,
	I8042_BUFFER = 16, /* bytes waiting for the guest */
};

/* Names of the contract's group `i8042'. */
struct i8042_metrics {
	counter_t error_count; /* bytes for a full buffer */
	counter_t missed_read_count, missed_write_count;
	counter_t read_count, write_count;
	counter_t reset_count;
};
extern const struct metrics_shape i8042_metrics_shape;

struct i8042_state { /* saved with a snapshot */
	uint8_t command_byte;
	uint8_t command;     /* controller command that waits for its byte, or 0 */
	uint8_t kbd_command; /* keyboard command that waits for its byte, or 0 */
	uint8_t output_port;
	uint8_t scanning; /* the keyboard reports keys */
	uint8_t used;	  /* the guest has touched a port */
	uint8_t nbuffer;
	uint8_t buffer[I8042_BUFFER]; /* oldest first */
};

struct i8042 {
	struct bus_dev dev; /* ports, I8042_PORT_SIZE */
	struct irq irq;
	struct end_request *end;
	pthread_mutex_t lock;
	struct i8042_state s; /* (L) */
	struct i8042_metrics metrics;
};

/* `end' gets END_GUEST_RESET; machine's. */
void i8042_init(struct i8042 *k, struct irq irq, struct end_request *end);
void i8042_fini(struct i8042 *k);

/*
 * Presses and releases Ctrl, Alt and Del; the whole sequence or none of it. -EAGAIN:
 * the guest has not taken earlier bytes, -ENODEV: the guest has no driver, or it has
 * disabled the keyboard or its interrupt. Any thread.
 */
must_check int i8042_ctrl_alt_del(struct i8042 *k);

/* While no vCPU runs. Loading checks the state, -EINVAL, and raises what is pending. */
void i8042_save(struct i8042 *k, struct i8042_state *ret);
must_check int i8042_load(struct i8042 *k, const struct i8042_state *state);
