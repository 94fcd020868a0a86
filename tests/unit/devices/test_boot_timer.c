/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/boot_timer.h"

#include <regex.h>

#include "base/fault.h"
#include "port.h"

TEST(the_byte_reports_once)
{
	struct boot_timer t;
	char text[BOOT_TIMER_TEXT_MAX];
	char again[BOOT_TIMER_TEXT_MAX];
	usec_t start = clock_monotonic() - 2500;

	CHECK_EQ(boot_timer_init(&t, start, clock_process_cpu()), 0);
	CHECK(!boot_timer_text(&t, text));
	CHECK_EQ(text[0], 0);
	out8(&t.dev, 0, BOOT_TIMER_DONE);
	CHECK(fd_event_take(t.fd));
	CHECK(t.took >= 2500);
	CHECK(boot_timer_text(&t, text));
	out8(&t.dev, 0, BOOT_TIMER_DONE);
	CHECK(!fd_event_take(t.fd));
	CHECK(boot_timer_text(&t, again));
	CHECK(strcmp(text, again) == 0);
	boot_timer_fini(&t);
}

TEST(the_text_is_what_clients_parse)
{
	struct boot_timer t;
	char text[BOOT_TIMER_TEXT_MAX];
	regex_t re;

	CHECK_EQ(boot_timer_init(&t, clock_monotonic(), clock_process_cpu()), 0);
	out8(&t.dev, 0, BOOT_TIMER_DONE);
	CHECK(boot_timer_text(&t, text));
	CHECK_EQ(regcomp(&re,
			 "^Guest-boot-time = +[0-9]+ us [0-9]+ ms, +[0-9]+ CPU us [0-9]+ CPU ms$",
			 REG_EXTENDED),
		 0);
	CHECK_EQ(regexec(&re, text, 0, NULL, 0), 0);
	t.took = 12345;
	t.took_cpu = 1999;
	CHECK(boot_timer_text(&t, text));
	CHECK(strcmp(text, "Guest-boot-time =  12345 us 12 ms,   1999 CPU us 1 CPU ms") == 0);
	t.took = t.took_cpu = UINT64_MAX;
	CHECK(boot_timer_text(&t, text));
	regfree(&re);
	boot_timer_fini(&t);
}

TEST(nothing_else_reports)
{
	struct boot_timer t;
	static const uint8_t wide[8] = { BOOT_TIMER_DONE };

	CHECK_EQ(boot_timer_init(&t, 0, 0), 0);
	for (unsigned v = 0; v < 256; v++)
		if (v != BOOT_TIMER_DONE)
			out8(&t.dev, 0, (uint8_t)v);
	out8(&t.dev, 1, BOOT_TIMER_DONE);
	out8(&t.dev, BOOT_TIMER_SIZE - 1, BOOT_TIMER_DONE);
	t.dev.class->write(&t.dev, 0, wide, 2);
	t.dev.class->write(&t.dev, 0, wide, 4);
	t.dev.class->write(&t.dev, 0, wide, 8);
	port_hammer_widths(&t.dev, 16);
	CHECK_EQ(in8(&t.dev, 0), 0);
	CHECK(!fd_event_take(t.fd));
	boot_timer_fini(&t);
}

TEST(the_start_can_be_moved)
{
	struct boot_timer t;
	usec_t now = clock_monotonic();

	CHECK_EQ(boot_timer_init(&t, 0, 0), 0);
	boot_timer_start(&t, now, clock_process_cpu());
	out8(&t.dev, 0, BOOT_TIMER_DONE);
	CHECK(t.took <= clock_monotonic() - now);
	boot_timer_fini(&t);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(no_descriptor_is_an_error)
{
	struct boot_timer t;

	fault_arm(0);
	CHECK_EQ(boot_timer_init(&t, 0, 0), -EMFILE);
}
#endif
