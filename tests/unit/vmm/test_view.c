/* SPDX-License-Identifier: Apache-2.0 */
/* Views: immutable, kept as long as somebody reads, and taken by many threads. */
#include "vmm/view.h"

#include "base/fault.h"
#include "conf/expect.h"

static struct view_board board;

TEST(publish_and_read)
{
	struct view *v;

	view_board_init(&board);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ "one", "", "three", NULL }), 0);
	v = view_get(&board);
	expect_msg("instance", v->instance, "one");
	expect_msg("machine", v->machine_config, "");
	expect_msg("config", v->vm_config, "three");
	CHECK(v->mmds == NULL);
	view_put(v);
	view_put(NULL);
	view_board_fini(&board);
}

TEST(an_old_view_stays_as_it_was)
{
	char text[] = "first";
	struct view *old, *new;

	view_board_init(&board);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ text, text, text, NULL }), 0);
	memset(text, 'x', 5); /* the texts were copied */
	old = view_get(&board);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ "second", "b", "c", NULL }), 0);
	new = view_get(&board);
	CHECK(old != new);
	expect_msg("old", old->vm_config, "first");
	expect_msg("new", new->instance, "second");
	view_put(new);
	view_board_fini(&board);
	expect_msg("old", old->instance, "first"); /* it outlives the board */
	view_put(old);
}

TEST(out_of_memory_keeps_the_old_one)
{
	struct view *v;

	if (!faults_work())
		SKIP("this build has no fault points");
	view_board_init(&board);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ "a", "b", "c", NULL }), 0);
	fault_arm(0);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ "x", "y", "z", NULL }), -ENOMEM);
	CHECK(fault_fired());
	v = view_get(&board);
	expect_msg("kept", v->instance, "a");
	view_put(v);
	view_board_fini(&board);
}

enum { READERS = 3, TURNS = 2000, TEXT = 64 };

static bool all_one_letter(const char *text)
{
	return strlen(text) == TEXT && strspn(text, (char[]){ text[0], '\0' }) == TEXT;
}

static void *reader(void *arg)
{
	struct view *kept = NULL;

	for (unsigned i = 0; i < TURNS; i++) {
		struct view *v = view_get(&board);

		CHECK(all_one_letter(v->instance) && all_one_letter(v->machine_config) &&
		      all_one_letter(v->vm_config) && v->instance[0] == v->vm_config[0]);
		view_put(kept);
		kept = v; /* for a while beside the next one */
	}
	view_put(kept);
	return arg;
}

TEST(many_readers_and_a_writer)
{
	pthread_t thread[READERS];
	char text[TEXT + 1] = "";

	view_board_init(&board);
	memset(text, 'a', TEXT);
	CHECK_EQ(view_publish(&board, &(struct view_texts){ text, text, text, NULL }), 0);
	for (unsigned i = 0; i < READERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, reader, NULL), 0);
	for (unsigned i = 0; i < TURNS; i++) {
		memset(text, 'a' + (int)(i % 26), TEXT);
		CHECK_EQ(view_publish(&board, &(struct view_texts){ text, text, text, NULL }), 0);
	}
	for (unsigned i = 0; i < READERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(board.newest->refs, 1);
	view_board_fini(&board);
}
