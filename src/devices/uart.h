/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of serial.h's 16550A, without a host, a lock or an interrupt line: what
 * they answer and when an interrupt is due. Whoever holds one calls under its own lock
 * and asks uart_line_rose() after each call that changes something.
 */
#pragma once

#include "devices/serial.h"

struct uart {
	struct serial_state s;
	bool line; /* level of the interrupt line when last asked */
};

void uart_init(struct uart *u);

/* -EINVAL, and nothing changed, when no UART can be in that state. */
must_check int uart_load(struct uart *u, const struct serial_state *state);

uint8_t uart_read(struct uart *u, uint64_t off);

/* True when `v' leaves the chip: a byte to send to the host. */
must_check bool uart_write(struct uart *u, uint64_t off, uint8_t v);

/* Bytes that the receiver has room for; none in loopback, which cuts the host off. */
unsigned uart_room(const struct uart *u);

/* Where uart_room() bytes may be put, and the call that makes n of them received. */
uint8_t *uart_rx_end(struct uart *u);
void uart_received(struct uart *u, unsigned n);

/* Whether an interrupt must be raised now. */
must_check bool uart_line_rose(struct uart *u);
