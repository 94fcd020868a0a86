/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmitter is always empty to the guest, so "THR empty" becomes pending again
 * with each byte sent and with each 0 -> 1 of its enable bit. The interrupt line is the
 * or of what is pending and enabled; an edge goes out when it rises. Sending a byte, and
 * taking one in character mode, lets the line fall first, as the chip's does, so that a
 * driver which never reads IIR still gets one interrupt for each byte. OUT2 does not
 * gate the line: drivers that forget it work as well.
 *
 * Registers: National Semiconductor PC16550D data sheet, section 8.
 */
#include "devices/uart.h"

#include <string.h>

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

enum { IER_RX = 0x01, IER_THRE = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08, IER_ALL = 0x0f };

enum { /* in order of priority */
       IIR_LINE = 0x06,
       IIR_RX = 0x04,
       IIR_RX_TIMEOUT = 0x0c,
       IIR_THRE = 0x02,
       IIR_MODEM = 0x00,
       IIR_NONE = 0x01,
       IIR_FIFOS = 0xc0,
};

enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_TRIGGER_SHIFT = 6, FCR_KEPT = 0xc1 };

enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };

enum {
	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,
};

enum {
	LSR_DATA = 0x01,
	LSR_OVERRUN = 0x02,
	LSR_BREAK = 0x10,
	LSR_THRE = 0x20,
	LSR_EMPTY = 0x40,
	LSR_FIFO_ERROR = 0x80,
	LSR_ERRORS = LSR_OVERRUN | LSR_BREAK,
};

enum {
	MSR_DELTA_RI = 0x04,
	MSR_DELTAS = 0x0f,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
};

enum { CHIP_FIFO = 16 }; /* what a guest measures by loopback */

static unsigned rx_trigger(const struct serial_state *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? level[s->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The pending interrupt of highest priority. No timer: few bytes time out at once. */
static uint8_t pending(const struct serial_state *s)
{
	if ((s->ier & IER_LINE) && s->lsr_errors)
		return IIR_LINE;
	if ((s->ier & IER_RX) && s->nrx > 0)
		return s->nrx >= rx_trigger(s) ? IIR_RX : IIR_RX_TIMEOUT;
	if ((s->ier & IER_THRE) && s->thre_pending)
		return IIR_THRE;
	if ((s->ier & IER_MODEM) && s->msr_deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

static void receive_looped(struct uart *u, uint8_t v)
{
	if (u->s.nrx >= (u->s.fcr & FCR_ENABLE ? CHIP_FIFO : 1)) {
		u->s.lsr_errors |= LSR_OVERRUN;
		return;
	}
	u->s.rx[u->s.nrx++] = v;
}

/* True when the byte leaves the chip. */
static bool write_thr(struct uart *u, uint8_t v)
{
	bool looped = u->s.mcr & MCR_LOOP;

	if (looped)
		receive_looped(u, v);
	u->s.thre_pending = 1;
	if (u->s.ier & IER_THRE)
		u->line = false;
	return !looped;
}

static uint8_t read_rbr(struct uart *u)
{
	uint8_t v = u->s.rx[0];

	if (u->s.nrx == 0)
		return 0;
	u->s.nrx--;
	memmove(u->s.rx, u->s.rx + 1, u->s.nrx);
	if (!(u->s.fcr & FCR_ENABLE))
		u->line = false;
	return v;
}

static void write_ier(struct uart *u, uint8_t v)
{
	if ((v ^ u->s.ier) & IER_THRE)
		u->s.thre_pending = (v & IER_THRE) != 0;
	u->s.ier = v & IER_ALL;
}

static void write_fcr(struct uart *u, uint8_t v)
{
	if (((v ^ u->s.fcr) & FCR_ENABLE) || ((v & FCR_ENABLE) && (v & FCR_CLEAR_RX)))
		u->s.nrx = 0;
	u->s.fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t v = pending(&u->s);

	if (v == IIR_THRE)
		u->s.thre_pending = 0;
	return v | (u->s.fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static void write_lcr(struct uart *u, uint8_t v)
{
	bool begins = (v & ~u->s.lcr & LCR_BREAK) != 0;

	u->s.lcr = v;
	if (begins && (u->s.mcr & MCR_LOOP)) { /* a break is received as a zero */
		receive_looped(u, 0);
		u->s.lsr_errors |= LSR_BREAK;
	}
}

/* The other end is ready at all times; in loopback our own outputs are seen. */
static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
			 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct uart *u, uint8_t v)
{
	uint8_t old = modem_lines(u->s.mcr);
	uint8_t now = modem_lines(v & MCR_ALL);
	uint8_t deltas = (uint8_t)((old ^ now) >> 4);

	if (now & MSR_RI)
		deltas &= (uint8_t)~MSR_DELTA_RI; /* that one tells of the trailing edge only */
	u->s.msr_deltas |= deltas;
	u->s.mcr = v & MCR_ALL;
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t v = LSR_THRE | LSR_EMPTY | u->s.lsr_errors;

	if (u->s.nrx > 0)
		v |= LSR_DATA;
	if ((v & LSR_BREAK) && (u->s.fcr & FCR_ENABLE))
		v |= LSR_FIFO_ERROR;
	u->s.lsr_errors = 0;
	return v;
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t v = modem_lines(u->s.mcr) | u->s.msr_deltas;

	u->s.msr_deltas = 0;
	return v;
}

void uart_init(struct uart *u)
{
	*u = (struct uart){ .s.dll = 12 }; /* 9600 baud */
}

int uart_load(struct uart *u, const struct serial_state *s)
{
	if (s->nrx > SERIAL_RX || (s->ier & ~IER_ALL) || (s->mcr & ~MCR_ALL) ||
	    (s->fcr & ~FCR_KEPT) || (s->lsr_errors & ~LSR_ERRORS) ||
	    (s->msr_deltas & ~MSR_DELTAS) || s->thre_pending > 1)
		return -EINVAL;
	*u = (struct uart){ .s = *s };
	return 0;
}

uint8_t uart_read(struct uart *u, uint64_t off)
{
	bool dlab = u->s.lcr & LCR_DLAB;

	switch (off) {
	case RBR_THR:
		return dlab ? u->s.dll : read_rbr(u);
	case IER:
		return dlab ? u->s.dlm : u->s.ier;
	case IIR_FCR:
		return read_iir(u);
	case LCR:
		return u->s.lcr;
	case MCR:
		return u->s.mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->s.scr;
	}
}

bool uart_write(struct uart *u, uint64_t off, uint8_t v)
{
	bool dlab = u->s.lcr & LCR_DLAB;

	if (off == RBR_THR && !dlab)
		return write_thr(u, v);
	if (off == RBR_THR)
		u->s.dll = v;
	else if (off == IER && dlab)
		u->s.dlm = v;
	else if (off == IER)
		write_ier(u, v);
	else if (off == IIR_FCR)
		write_fcr(u, v);
	else if (off == LCR)
		write_lcr(u, v);
	else if (off == MCR)
		write_mcr(u, v);
	else if (off == SCR)
		u->s.scr = v;
	return false; /* LSR and MSR cannot be written */
}

unsigned uart_room(const struct uart *u)
{
	return u->s.mcr & MCR_LOOP ? 0 : SERIAL_RX - u->s.nrx;
}

uint8_t *uart_rx_end(struct uart *u)
{
	return u->s.rx + u->s.nrx;
}

void uart_received(struct uart *u, unsigned n)
{
	u->s.nrx = (uint8_t)(u->s.nrx + n);
}

bool uart_line_rose(struct uart *u)
{
	bool before = u->line;

	u->line = pending(&u->s) != IIR_NONE;
	return u->line && !before;
}
