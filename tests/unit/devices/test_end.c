/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/fault.h"
#include "base/fd.h"
#include "devices/end.h"
#include "test.h"

TEST(the_first_reason_wins)
{
	struct end_request end;

	CHECK_EQ(end_request_init(&end), 0);
	CHECK_EQ(end_requested(&end), END_NONE);
	CHECK(!fd_event_take(end.fd));
	end_request(&end, END_TRIPLE_FAULT);
	end_request(&end, END_GUEST_RESET);
	CHECK_EQ(end_requested(&end), END_TRIPLE_FAULT);
	CHECK(fd_event_take(end.fd));
	end_request(&end, END_GUEST_RESET);
	CHECK(!fd_event_take(end.fd));
	end_request_fini(&end);
	end_request_fini(&end);
	CHECK_EQ(end.fd, -1);
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(no_descriptor_is_an_error)
{
	struct end_request end;

	fault_arm(0);
	CHECK_EQ(end_request_init(&end), -EMFILE);
}
#endif

TEST(every_reason_has_a_word)
{
	CHECK(strcmp(end_reason_name(END_NONE), "none") == 0);
	CHECK(strcmp(end_reason_name(END_GUEST_RESET), "guest-reset") == 0);
	CHECK(strcmp(end_reason_name(END_GUEST_POWEROFF), "guest-poweroff") == 0);
	CHECK(strcmp(end_reason_name(END_TRIPLE_FAULT), "triple-fault") == 0);
	CHECK(strcmp(end_reason_name(END_KVM_FAILURE), "kvm-failure") == 0);
	CHECK(strcmp(end_reason_name(END_CONFIG_ERROR), "config-error") == 0);
}

static struct end_request shared;
static int wins[8]; /* one for each thread, written by it */

static void *race(void *arg)
{
	int self = *(int *)arg;
	enum end_reason mine = self % 2 ? END_GUEST_RESET : END_TRIPLE_FAULT;

	end_request(&shared, mine);
	wins[self] = (int)end_requested(&shared);
	return NULL;
}

TEST(threads_agree_on_the_reason)
{
	pthread_t id[8];
	int number[8];
	uint64_t signals = 0;

	CHECK_EQ(end_request_init(&shared), 0);
	for (int i = 0; i < 8; i++) {
		number[i] = i;
		CHECK_EQ(pthread_create(&id[i], NULL, race, &number[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(id[i], NULL);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(wins[i], wins[0]);
	CHECK_EQ(read(shared.fd, &signals, sizeof(signals)), sizeof(signals));
	CHECK_EQ(signals, 1);
	end_request_fini(&shared);
}
