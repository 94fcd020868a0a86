/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script of port accesses and host events against the keyboard controller. One byte
 * says what to do, one more is its argument:
 *
 *   00wwdooo  access: offset o, direction d (1: write), width 1 << w; argument: data
 *   01......  Ctrl-Alt-Del
 *   1.......  save, load into the same device
 */
#include <string.h>

#include "base/fd.h"
#include "devices/i8042.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void access_port(struct bus_dev *dev, uint8_t op, uint8_t v)
{
	uint8_t buf[8];
	unsigned len = 1u << (op >> 4 & 3);
	uint64_t off = op & 7;

	if (off >= I8042_PORT_SIZE || len > I8042_PORT_SIZE - off)
		return; /* the bus would not let it pass */
	memset(buf, v, sizeof(buf));
	if (op & 8)
		dev->class->write(dev, off, buf, len);
	else
		dev->class->read(dev, off, buf, len);
}

static void check(struct i8042 *k)
{
	struct i8042_state before = { 0 }, after = { 0 };

	i8042_save(k, &before);
	if (i8042_load(k, &before) < 0)
		abort(); /* a state that we reached and do not know */
	i8042_save(k, &after);
	if (memcmp(&before, &after, sizeof(before)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end_request end;
	struct irq irq = { .fd = fd_event_create() };
	struct i8042 k;

	if (end_request_init(&end) < 0)
		abort();
	i8042_init(&k, irq, &end);
	for (size_t i = 0; i + 1 < size && i < 4096; i += 2) {
		if (data[i] & 0x80)
			check(&k);
		else if (data[i] & 0x40)
			(void)!i8042_ctrl_alt_del(&k);
		else
			access_port(&k.dev, data[i], data[i + 1]);
	}
	check(&k);
	i8042_fini(&k);
	end_request_fini(&end);
	close(irq.fd);
	return 0;
}
