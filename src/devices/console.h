/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on a Unix socket.
 *
 * The last 64 KiB of output are kept. Whoever connects gets them, and then what comes.
 * The first to connect while there is no writer is the writer: what it sends is the
 * guest's input, and what others send is never read. Each client has a place in the
 * output and no buffer of its own; one that has fallen 64 KiB behind is dropped, so
 * nobody can hold the guest or the others up.
 *
 * Loop thread. It may be made and connected to before there is a serial port.
 */
#pragma once

#include "base/counter.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "devices/serial.h"

enum {
	CONSOLE_RING = 1 << 16, /* bytes of output that are kept */
	CONSOLE_CLIENTS = 16,	/* further ones are closed at once */
};

struct console;

#define CONSOLE_METRICS(X)                              \
	X(clients)	   /* that connected */         \
	X(clients_refused) /* that were one too many */ \
	X(clients_dropped) /* that had fallen behind by the whole ring */

struct console_metrics {
#define X(name) counter_t name;
	CONSOLE_METRICS(X)
#undef X
};

/* Ours: not in Firecracker's lines. */
extern const struct metrics_shape console_metrics_shape;

/* Listens at the path, which console_destroy() removes. */
must_check int console_create(const char *path, struct loop *loop, struct console **ret,
			      struct err *e);

/* The serial port, if any, has been told by console_attach(NULL) or is gone. NULL is fine. */
void console_destroy(struct console *c);

const char *console_path(const struct console *c);

/* Where a serial port's output goes: for its configuration. */
struct serial_sink *console_sink(struct console *c);

/* The port that gets the writer's input; NULL: there is none (any more). */
void console_attach(struct console *c, struct serial *serial);

/* Any thread. */
const struct console_metrics *console_metrics(const struct console *c);
