/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART, 8 ports at any base, connected to descriptors of the host.
 *
 * Registers are served on vCPU threads under the device's lock. The host's side
 * belongs to the main loop: sent bytes go through a ring that the loop writes out,
 * and an eventfd wakes the loop when the ring stops being empty. Neither side waits
 * for the other: to the guest the transmitter is always empty, and what neither
 * ring nor sink can take is dropped and counted. Received bytes are read from the
 * host only while there is room in the receive FIFO, so nothing piles up here.
 *
 * The device does not log; the loop's owner asks serial_take_error() when it flushes
 * metrics or ends. SIGPIPE must be ignored or handled.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/rate.h"
#include "devices/bus.h"
#include "devices/irq.h"

enum {
	SERIAL_PORTS = 8,
	SERIAL_COM1 = 0x3f8,
	SERIAL_RX = 64,	       /* bytes received and not yet read by the guest */
	SERIAL_RING = 1 << 16, /* bytes sent and not yet taken by the sink */
};

struct serial;
struct iovec;

/* Who takes output in the place of a descriptor: all of it, and without waiting. Loop thread. */
struct serial_sink {
	void (*take)(struct serial_sink *sink, const struct iovec *iov, unsigned niov);
};

struct serial_cfg {
	int out_fd;		  /* -1: none, output vanishes. Non-blocking, see fd_output_of() */
	struct serial_sink *sink; /* instead of out_fd; the caller's; NULL: none */
	int in_fd; /* -1: none. Non-blocking, see fd_input_of(). Not the same as out_fd */
	struct rate_cfg rate; /* bytes of output; the surplus is dropped */
};

/* Names of the contract's group `uart', and one of ours at the end. */
struct serial_metrics {
	counter_t error_count; /* failed reads and writes of the host's descriptors */
	counter_t flush_count; /* writes to the sink */
	counter_t missed_read_count, missed_write_count; /* accesses wider than a byte */
	counter_t read_count, write_count;		 /* bytes received, bytes sent */
	counter_t rate_limiter_dropped_bytes;
	/* Ours: */
	counter_t dropped; /* bytes for which neither ring nor sink had room */
};
extern const struct metrics_shape serial_metrics_shape, serial_own_shape;

struct serial_state { /* saved with a snapshot; sent bytes have been flushed */
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t lsr_errors;   /* overrun, break: until LSR is read */
	uint8_t msr_deltas;   /* until MSR is read */
	uint8_t thre_pending; /* until IIR is read or THR written */
	uint8_t nrx;
	uint8_t rx[SERIAL_RX]; /* oldest first */
};

/*
 * Loop thread. On success the device owns both descriptors, on failure neither. An
 * input that cannot be polled (a regular file, /dev/null) is no input and no error.
 */
must_check int serial_create(const struct serial_cfg *cfg, struct loop *loop, struct irq irq,
			     struct serial **ret, struct err *e);
void serial_destroy(struct serial *s);

/* Another input, in_fd's successor and like it; -1: none. The device's from now on. Loop thread. */
void serial_set_input(struct serial *s, int fd);

/* For bus_add(), SERIAL_PORTS long. */
struct bus_dev *serial_bus_dev(struct serial *s);

/* Counted by any thread; read any time. */
const struct serial_metrics *serial_metrics(const struct serial *s);

/* The first error of a descriptor since the last call as -errno, or 0. Any thread. */
int serial_take_error(struct serial *s);

/*
 * Writes what the ring holds and waits for a slow sink, limit_ms at most; what is
 * left stays in the ring. Loop thread: at exit and before a snapshot.
 */
void serial_flush(struct serial *s, int limit_ms);

/* Bytes that the ring holds. Loop thread. */
must_check uint32_t serial_unsent(struct serial *s);

/* Stops and resumes taking input from the host, for a paused machine. Loop thread. */
void serial_quiesce(struct serial *s);
void serial_resume(struct serial *s);

/*
 * Loop thread, while no vCPU runs. Loading checks the state (-EINVAL), raises an
 * interrupt for what is pending and takes input again.
 */
void serial_save(struct serial *s, struct serial_state *ret);
must_check int serial_load(struct serial *s, const struct serial_state *state);
