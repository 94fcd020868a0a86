/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mbox.h"

#include <poll.h>
#include <pthread.h>

#include "base/fault.h"
#include "base/fd.h"
#include "test.h"

enum { SENDERS = 4, EACH = 5000 };

struct letter {
	struct mbox_msg msg;
	unsigned sender, number;
};

static struct mbox box;
static struct letter letters[SENDERS][EACH];

TEST(oldest_first)
{
	struct letter l[3] = { 0 };
	struct mbox_msg *m;

	CHECK_EQ(mbox_init(&box), 0);
	CHECK(mbox_take(&box) == NULL);
	for (unsigned i = 0; i < 3; i++)
		mbox_post(&box, &l[i].msg);
	m = mbox_take(&box);
	for (unsigned i = 0; i < 3; i++, m = m->next)
		CHECK(m == &l[i].msg);
	CHECK(m == NULL);
	CHECK(mbox_take(&box) == NULL);
	mbox_fini(&box);
	mbox_fini(&box);
}

TEST(only_the_first_letter_signals)
{
	struct letter l[3] = { 0 };
	uint64_t signals = 0;

	CHECK_EQ(mbox_init(&box), 0);
	for (unsigned i = 0; i < 3; i++)
		mbox_post(&box, &l[i].msg);
	CHECK_EQ(read(box.fd, &signals, sizeof(signals)), sizeof(signals));
	CHECK_EQ(signals, 1);
	CHECK(mbox_take(&box) != NULL);
	mbox_post(&box, &l[0].msg);
	CHECK(fd_event_take(box.fd));
}

static void *sender(void *arg)
{
	unsigned self = *(unsigned *)arg;

	for (unsigned i = 0; i < EACH; i++) {
		letters[self][i].sender = self;
		letters[self][i].number = i;
		mbox_post(&box, &letters[self][i].msg);
	}
	return NULL;
}

/* Nothing lost, nothing twice, each sender's order kept, and no wake-up missed. */
TEST(many_senders)
{
	unsigned number[SENDERS], next[SENDERS] = { 0 };
	pthread_t id[SENDERS];
	unsigned got = 0;

	CHECK_EQ(mbox_init(&box), 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		number[i] = i;
		CHECK_EQ(pthread_create(&id[i], NULL, sender, &number[i]), 0);
	}
	while (got < SENDERS * EACH) {
		struct pollfd ready = { .fd = box.fd, .events = POLLIN };

		CHECK_EQ(poll(&ready, 1, -1), 1);
		for (struct mbox_msg *m = mbox_take(&box); m; m = m->next) {
			const struct letter *l = container_of(m, struct letter, msg);

			CHECK_EQ(l->number, next[l->sender]);
			next[l->sender]++;
			got++;
		}
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(id[i], NULL);
	CHECK(mbox_take(&box) == NULL);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(no_descriptor_is_an_error)
{
	fault_arm(0);
	CHECK_EQ(mbox_init(&box), -EMFILE);
}
#endif
