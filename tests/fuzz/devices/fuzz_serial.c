/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script of port accesses and host events against the UART. One byte says what to do,
 * one more is its argument:
 *
 *   00wwdooo  access: offset o, direction d (1: write), width 1 << w; argument: data
 *   01......  the host types as many bytes as the argument says
 *   10......  the host reads what was written
 *   110.....  save, load into the same device
 *   111.....  one turn of the loop
 */
#include <fcntl.h>
#include <string.h>

#include "devices/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct host {
	struct loop loop;
	struct serial *serial;
	int keyboard, screen, irq;
};

static void access_port(struct bus_dev *dev, uint8_t op, uint8_t v)
{
	uint8_t buf[8];
	unsigned len = 1u << (op >> 4 & 3);
	uint64_t off = op & 7;

	if (len > SERIAL_PORTS - off)
		return; /* the bus would not let it pass */
	memset(buf, v, sizeof(buf));
	if (op & 8)
		dev->class->write(dev, off, buf, len);
	else
		dev->class->read(dev, off, buf, len);
}

static void save_and_load(struct serial *s)
{
	struct serial_state before = { 0 }, after = { 0 };

	serial_save(s, &before);
	if (serial_load(s, &before) < 0)
		abort(); /* a state that we reached and do not know */
	serial_save(s, &after);
	if (memcmp(&before, &after, sizeof(before)) != 0)
		abort();
}

static void step(struct host *h, uint8_t op, uint8_t arg)
{
	static const uint8_t typed[256];
	char seen[4096];

	switch (op >> 6) {
	case 0:
		access_port(serial_bus_dev(h->serial), op, arg);
		break;
	case 1:
		(void)!write(h->keyboard, typed, arg);
		break;
	case 2:
		(void)!read(h->screen, seen, sizeof(seen));
		break;
	case 3:
		if (!(op & 0x20))
			save_and_load(h->serial);
		else if (loop_turn(&h->loop, 0) < 0)
			abort();
		break;
	}
}

static bool start(struct host *h)
{
	int in[2], out[2];
	struct serial_cfg cfg;
	struct err e;

	if (pipe2(in, O_NONBLOCK | O_CLOEXEC) < 0 || pipe2(out, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	cfg = (struct serial_cfg){ .out_fd = out[1], .in_fd = in[0] };
	h->keyboard = in[1];
	h->screen = out[0];
	h->irq = fd_event_create();
	return loop_init(&h->loop) == 0 &&
	       serial_create(&cfg, &h->loop, (struct irq){ h->irq }, &h->serial, &e) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host h = { 0 };

	if (size > 4096)
		return 0;
	if (!start(&h))
		abort();
	for (size_t i = 0; i + 1 < size; i += 2)
		step(&h, data[i], data[i + 1]);
	serial_flush(h.serial, 0);
	serial_destroy(h.serial);
	loop_fini(&h.loop);
	close(h.keyboard);
	close(h.screen);
	close(h.irq);
	return 0;
}
