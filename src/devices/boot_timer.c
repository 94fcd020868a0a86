/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/boot_timer.h"

#include <string.h>

#include "base/fd.h"
#include "base/text.h"

enum { WAITING, WRITING, DONE }; /* of boot_timer.done */

static void timer_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	(void)dev;
	(void)off;
	memset(data, 0, len);
}

static void timer_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct boot_timer *t = container_of(dev, struct boot_timer, dev);
	int state = WAITING;

	if (off != 0 || len != 1 || *(const uint8_t *)data != BOOT_TIMER_DONE)
		return;
	if (!__atomic_compare_exchange_n(&t->done, &state, WRITING, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	t->took = clock_monotonic() - t->start;
	t->took_cpu = clock_process_cpu() - t->start_cpu;
	__atomic_store_n(&t->done, DONE, __ATOMIC_RELEASE); /* with boot_timer_text() */
	fd_event_signal(t->fd);
}

static const struct bus_class timer_class = {
	.name = "boot-timer",
	.read = timer_read,
	.write = timer_write,
};

int boot_timer_init(struct boot_timer *t, usec_t start, usec_t start_cpu)
{
	int fd = fd_event_create();

	if (fd < 0)
		return fd;
	*t = (struct boot_timer){ .dev.class = &timer_class, .fd = fd };
	boot_timer_start(t, start, start_cpu);
	return 0;
}

void boot_timer_fini(struct boot_timer *t)
{
	fd_close_(&t->fd);
	t->fd = -1;
}

void boot_timer_start(struct boot_timer *t, usec_t start, usec_t start_cpu)
{
	t->start = start;
	t->start_cpu = start_cpu;
}

bool boot_timer_text(const struct boot_timer *t, char text[BOOT_TIMER_TEXT_MAX])
{
	struct text out;

	text_init(&out, text, BOOT_TIMER_TEXT_MAX);
	if (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) != DONE)
		return false;
	text_fmt(&out, "Guest-boot-time = %6llu us %llu ms, %6llu CPU us %llu CPU ms",
		 (unsigned long long)t->took, (unsigned long long)(t->took / USEC_PER_MSEC),
		 (unsigned long long)t->took_cpu,
		 (unsigned long long)(t->took_cpu / USEC_PER_MSEC));
	return text_ok(&out);
}
