/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stage.h"

#include "test.h"

static char buf[STAGE_TEXT_MAX];

static const char *text(void)
{
	struct text t;

	text_init(&t, buf, sizeof(buf));
	stage_print_text(&t);
	CHECK(text_ok(&t));
	return buf;
}

#define HEAD		     "# TYPE wisp_boot_stage_seconds gauge\n"
#define LINE(stage, seconds) "wisp_boot_stage_seconds{stage=\"" stage "\"} " seconds "\n"

TEST(the_first_time_counts)
{
	CHECK_EQ(stage_reached(STAGE_MEMORY), 0);
	stage_mark_at(STAGE_MEMORY, 5);
	stage_mark_at(STAGE_MEMORY, 7);
	stage_mark(STAGE_MEMORY);
	CHECK_EQ(stage_reached(STAGE_MEMORY), 5);
	stage_mark(STAGE_FIRST_RUN);
	CHECK(stage_reached(STAGE_FIRST_RUN) > 5);
}

TEST(what_was_not_reached_is_not_printed)
{
	CHECK_EQ(strcmp(text(), HEAD), 0);
	stage_mark_at(STAGE_PROCESS_START, 1000000);
	stage_mark_at(STAGE_API_READY, 1000042);
	stage_mark_at(STAGE_BOOT_TIMER, 13000000);
	CHECK_EQ(strcmp(text(), HEAD LINE("process_start", "0.000000") LINE("api_ready", "0.000042")
					LINE("boot_timer", "12.000000")),
		 0);
}

TEST(another_attempt_begins_anew)
{
	stage_mark_at(STAGE_PROCESS_START, 1);
	stage_mark_at(STAGE_API_READY, 2);
	stage_mark_at(STAGE_VM_CREATED, 3);
	stage_mark_at(STAGE_BOOT_TIMER, 4);
	stage_forget_machine();
	CHECK_EQ(stage_reached(STAGE_PROCESS_START), 1);
	CHECK_EQ(stage_reached(STAGE_API_READY), 2);
	CHECK_EQ(stage_reached(STAGE_VM_CREATED), 0);
	CHECK_EQ(stage_reached(STAGE_BOOT_TIMER), 0);
}

TEST(all_of_them_fit)
{
	for (unsigned i = 0; i < STAGES; i++)
		stage_mark_at((enum stage)i, i == 0 ? 1 : UINT64_MAX);
	CHECK(strstr(text(), "first_device"));
}
