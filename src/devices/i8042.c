/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes for the guest wait in one buffer of fixed size. The interrupt is an edge for each
 * byte that becomes the next to be read, as the real output register gives it.
 * Names follow the 8042's data sheet and the AT keyboard's command set.
 */
#include "devices/i8042.h"

#include <string.h>

enum { DATA = 0, COMMAND = 4 }; /* offsets in the window */

enum { /* status register */
       ST_OUTPUT_FULL = 0x01,
       ST_SYSTEM = 0x04,
       ST_NOT_LOCKED = 0x10,
};

enum { /* command byte */
       CB_KBD_INT = 0x01,
       CB_SYSTEM = 0x04,
       CB_KBD_DISABLE = 0x10,
       CB_AUX_DISABLE = 0x20,
       CB_TRANSLATE = 0x40,
};

enum { /* controller commands */
       CTL_READ_COMMAND_BYTE = 0x20,
       CTL_WRITE_COMMAND_BYTE = 0x60,
       CTL_WRITE_RAM_LAST = 0x7f,
       CTL_DISABLE_AUX = 0xa7,
       CTL_ENABLE_AUX = 0xa8,
       CTL_TEST_AUX = 0xa9,
       CTL_SELF_TEST = 0xaa,
       CTL_TEST_KBD = 0xab,
       CTL_DISABLE_KBD = 0xad,
       CTL_ENABLE_KBD = 0xae,
       CTL_READ_INPUT_PORT = 0xc0,
       CTL_READ_OUTPUT_PORT = 0xd0,
       CTL_WRITE_OUTPUT_PORT = 0xd1,
       CTL_ECHO_KBD = 0xd2,
       CTL_ECHO_AUX = 0xd3,
       CTL_WRITE_AUX = 0xd4,
       CTL_PULSE = 0xf0, /* low nibble: lines not to pulse */
};

enum { /* keyboard commands and replies */
       KBD_SET_LEDS = 0xed,
       KBD_ECHO = 0xee,
       KBD_SCAN_SET = 0xf0,
       KBD_IDENTIFY = 0xf2,
       KBD_SET_RATE = 0xf3,
       KBD_ENABLE = 0xf4,
       KBD_DISABLE = 0xf5,
       KBD_DEFAULTS = 0xf6,
       KBD_RESET = 0xff,
       KBD_ACK = 0xfa,
       KBD_RESEND = 0xfe,
       KBD_TEST_PASSED = 0xaa,
       KBD_BREAK = 0xf0, /* prefix of set 2 */
};

enum { /* output port */
       PORT_NO_RESET = 0x01,
       PORT_A20 = 0x02,
       PORT_OUTPUT_FULL = 0x10,
       INPUT_PORT_NOT_LOCKED = 0x80,
};

static bool interrupts(const struct i8042 *k)
{
	return k->s.nbuffer > 0 && (k->s.command_byte & CB_KBD_INT);
}

static void put(struct i8042 *k, uint8_t byte)
{
	if (k->s.nbuffer == I8042_BUFFER) {
		counter_inc(&k->metrics.error_count);
		return;
	}
	k->s.buffer[k->s.nbuffer++] = byte;
	if (k->s.nbuffer == 1 && interrupts(k))
		irq_raise(&k->irq);
}

/* The reply to a test replaces what was waiting, as in the real output register. */
static void put_alone(struct i8042 *k, uint8_t byte)
{
	k->s.nbuffer = 0;
	put(k, byte);
}

static uint8_t take(struct i8042 *k)
{
	uint8_t byte = k->s.buffer[0];

	if (k->s.nbuffer == 0)
		return 0;
	k->s.nbuffer--;
	memmove(k->s.buffer, k->s.buffer + 1, k->s.nbuffer);
	if (interrupts(k))
		irq_raise(&k->irq);
	return byte;
}

/* The controller's table from set 2 to set 1, for the codes that we produce. */
static uint8_t translated(const struct i8042 *k, uint8_t code)
{
	if (!(k->s.command_byte & CB_TRANSLATE))
		return code;
	switch (code) {
	case 0x02: /* number of the scan code set */
	case 0x83: /* second byte of the keyboard's identity */
		return 0x41;
	case 0x11: /* Alt */
		return 0x38;
	case 0x14: /* Ctrl */
		return 0x1d;
	case 0x71: /* Del, after 0xe0 */
		return 0x53;
	}
	return code;
}

static void reset_machine(struct i8042 *k)
{
	counter_inc(&k->metrics.reset_count);
	end_request(k->end, END_GUEST_RESET);
}

static void set_command_byte(struct i8042 *k, uint8_t v)
{
	bool before = interrupts(k);

	k->s.command_byte = v;
	if (!before && interrupts(k))
		irq_raise(&k->irq);
}

static void controller_command(struct i8042 *k, uint8_t cmd)
{
	k->s.command = 0;
	if ((cmd & 0xf0) == CTL_PULSE) {
		if (!(cmd & PORT_NO_RESET))
			reset_machine(k);
		return;
	}
	if (cmd >= CTL_WRITE_COMMAND_BYTE && cmd <= CTL_WRITE_RAM_LAST) {
		k->s.command = cmd;
		return;
	}
	switch (cmd) {
	case CTL_READ_COMMAND_BYTE:
		put(k, k->s.command_byte);
		break;
	case CTL_DISABLE_AUX:
		k->s.command_byte |= CB_AUX_DISABLE;
		break;
	case CTL_ENABLE_AUX:
		k->s.command_byte &= (uint8_t)~CB_AUX_DISABLE;
		break;
	case CTL_TEST_AUX:
		put_alone(k, 0x01); /* clock line stuck: there is no port */
		break;
	case CTL_SELF_TEST:
		k->s.command_byte |= CB_SYSTEM;
		put_alone(k, 0x55);
		break;
	case CTL_TEST_KBD:
		put(k, 0x00);
		break;
	case CTL_DISABLE_KBD:
		k->s.command_byte |= CB_KBD_DISABLE;
		break;
	case CTL_ENABLE_KBD:
		k->s.command_byte &= (uint8_t)~CB_KBD_DISABLE;
		break;
	case CTL_READ_INPUT_PORT:
		put(k, INPUT_PORT_NOT_LOCKED);
		break;
	case CTL_READ_OUTPUT_PORT:
		put(k, k->s.output_port | (k->s.nbuffer > 0 ? PORT_OUTPUT_FULL : 0));
		break;
	case CTL_WRITE_OUTPUT_PORT:
	case CTL_ECHO_KBD:
	case CTL_ECHO_AUX:
	case CTL_WRITE_AUX:
		k->s.command = cmd;
		break;
	}
}

/* The byte that a controller command was waiting for. */
static void controller_data(struct i8042 *k, uint8_t cmd, uint8_t v)
{
	k->s.command = 0;
	switch (cmd) {
	case CTL_WRITE_COMMAND_BYTE:
		set_command_byte(k, v);
		break;
	case CTL_WRITE_OUTPUT_PORT:
		k->s.output_port = v & (PORT_NO_RESET | PORT_A20);
		if (!(v & PORT_NO_RESET))
			reset_machine(k);
		break;
	case CTL_ECHO_KBD:
	/* Not marked as from aux, by which Linux sees at once that there is none. */
	case CTL_ECHO_AUX:
		put(k, v);
		break;
	}
}

static void keyboard_command(struct i8042 *k, uint8_t cmd)
{
	k->s.kbd_command = 0;
	switch (cmd) {
	case KBD_SET_LEDS:
	case KBD_SCAN_SET:
	case KBD_SET_RATE:
		k->s.kbd_command = cmd;
		put(k, KBD_ACK);
		break;
	case KBD_ECHO:
		put(k, KBD_ECHO);
		break;
	case KBD_IDENTIFY:
		put(k, KBD_ACK);
		put(k, 0xab);
		put(k, translated(k, 0x83));
		break;
	case KBD_ENABLE:
	case KBD_DEFAULTS:
		k->s.scanning = 1;
		put(k, KBD_ACK);
		break;
	case KBD_DISABLE:
		k->s.scanning = 0;
		put(k, KBD_ACK);
		break;
	case KBD_RESET:
		k->s.scanning = 1;
		put(k, KBD_ACK);
		put(k, KBD_TEST_PASSED);
		break;
	default:
		put(k, KBD_RESEND);
	}
}

static void keyboard_data(struct i8042 *k, uint8_t v)
{
	uint8_t cmd = k->s.kbd_command;

	if (cmd == 0 || v >= 0x80) { /* a command ends one that waits for its argument */
		keyboard_command(k, v);
		return;
	}
	k->s.kbd_command = 0;
	put(k, KBD_ACK);
	if (cmd == KBD_SCAN_SET && v == 0)
		put(k, translated(k, 2));
}

static uint8_t status(const struct i8042 *k)
{
	uint8_t v = ST_NOT_LOCKED | (k->s.command_byte & ST_SYSTEM);

	return k->s.nbuffer > 0 ? v | ST_OUTPUT_FULL : v;
}

static void i8042_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);
	uint8_t *v = data;

	memset(data, 0, len);
	if (len != 1 || (off != DATA && off != COMMAND)) {
		counter_inc(&k->metrics.missed_read_count);
		return;
	}
	counter_inc(&k->metrics.read_count);
	pthread_mutex_lock(&k->lock);
	k->s.used = 1;
	*v = off == DATA ? take(k) : status(k);
	pthread_mutex_unlock(&k->lock);
}

static void i8042_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);
	uint8_t v = *(const uint8_t *)data;

	if (len != 1 || (off != DATA && off != COMMAND)) {
		counter_inc(&k->metrics.missed_write_count);
		return;
	}
	counter_inc(&k->metrics.write_count);
	pthread_mutex_lock(&k->lock);
	k->s.used = 1;
	if (off == COMMAND)
		controller_command(k, v);
	else if (k->s.command != 0)
		controller_data(k, k->s.command, v);
	else
		keyboard_data(k, v);
	pthread_mutex_unlock(&k->lock);
}

static const struct bus_class i8042_class = {
	.name = "i8042",
	.read = i8042_read,
	.write = i8042_write,
};

static const char *const names[] = { "error_count", "missed_read_count", "missed_write_count",
				     "read_count",  "write_count",	 "reset_count" };

const struct metrics_shape i8042_metrics_shape = METRICS_SHAPE("i8042", names,
							       struct i8042_metrics);

void i8042_init(struct i8042 *k, struct irq irq, struct end_request *end)
{
	*k = (struct i8042){
		.dev.class = &i8042_class,
		.irq = irq,
		.end = end,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.s = {
			.command_byte = CB_SYSTEM | CB_KBD_INT,
			.output_port = PORT_NO_RESET | PORT_A20,
			.scanning = 1, /* drivers told of a dumb keyboard never enable it */
		},
	};
}

void i8042_fini(struct i8042 *k)
{
	pthread_mutex_destroy(&k->lock);
}

static void put_release(struct i8042 *k, uint8_t code)
{
	if (k->s.command_byte & CB_TRANSLATE) {
		put(k, translated(k, code) | 0x80);
		return;
	}
	put(k, KBD_BREAK);
	put(k, code);
}

int i8042_ctrl_alt_del(struct i8042 *k)
{
	enum { CTRL = 0x14, ALT = 0x11, EXTENDED = 0xe0, DEL = 0x71, LENGTH_MAX = 11 };
	int r = 0;

	pthread_mutex_lock(&k->lock);
	if (!k->s.used || !k->s.scanning || !(k->s.command_byte & CB_KBD_INT) ||
	    (k->s.command_byte & CB_KBD_DISABLE))
		r = -ENODEV;
	else if (I8042_BUFFER - k->s.nbuffer < LENGTH_MAX)
		r = -EAGAIN;
	if (r == 0) {
		put(k, translated(k, CTRL));
		put(k, translated(k, ALT));
		put(k, EXTENDED);
		put(k, translated(k, DEL));
		put(k, EXTENDED);
		put_release(k, DEL);
		put_release(k, ALT);
		put_release(k, CTRL);
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

void i8042_save(struct i8042 *k, struct i8042_state *ret)
{
	pthread_mutex_lock(&k->lock);
	*ret = k->s;
	pthread_mutex_unlock(&k->lock);
}

int i8042_load(struct i8042 *k, const struct i8042_state *state)
{
	if (state->nbuffer > I8042_BUFFER || state->scanning > 1 || state->used > 1)
		return -EINVAL;
	pthread_mutex_lock(&k->lock);
	k->s = *state;
	if (interrupts(k))
		irq_raise(&k->irq);
	pthread_mutex_unlock(&k->lock);
	return 0;
}
