/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mbox.h"

#include "base/fd.h"

int mbox_init(struct mbox *box)
{
	int fd = fd_event_create();

	if (fd < 0)
		return fd;
	*box = (struct mbox){ .fd = fd };
	return 0;
}

void mbox_fini(struct mbox *box)
{
	if (box->fd >= 0)
		close(box->fd);
	box->fd = -1;
}

void mbox_post(struct mbox *box, struct mbox_msg *msg)
{
	struct mbox_msg *head = __atomic_load_n(&box->newest, __ATOMIC_RELAXED);

	do
		msg->next = head;
	while (!__atomic_compare_exchange_n(&box->newest, &head, msg, true,
					    __ATOMIC_RELEASE, /* with the exchange in mbox_take() */
					    __ATOMIC_RELAXED));
	if (!head)
		fd_event_signal(box->fd);
}

struct mbox_msg *mbox_take(struct mbox *box)
{
	struct mbox_msg *newest, *oldest = NULL;

	(void)fd_event_take(box->fd);
	newest = __atomic_exchange_n(&box->newest, NULL, __ATOMIC_ACQUIRE);
	while (newest) {
		struct mbox_msg *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}
