/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox: messages from any thread to the one loop that owns it.
 *
 * Messages are embedded in the caller's objects, so posting allocates nothing and
 * cannot fail. The owner of the mailbox owns a message from mbox_post() until it
 * gives it back; the sender waits for nothing. The eventfd is written only when
 * the box was empty.
 */
#pragma once

#include "base/cc.h"

struct mbox_msg {
	struct mbox_msg *next;
};

struct mbox {
	struct mbox_msg *newest; /* (A) */
	int fd;			 /* readable when there may be messages; add it to the loop */
};

must_check int mbox_init(struct mbox *box);
void mbox_fini(struct mbox *box);

/* Any thread. */
void mbox_post(struct mbox *box, struct mbox_msg *msg);

/* Owner only: all messages there are, oldest first, linked by `next'; or NULL. */
must_check struct mbox_msg *mbox_take(struct mbox *box);
