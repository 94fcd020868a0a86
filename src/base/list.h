/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubly linked lists, embedded: the head is a link of its own, and the list a ring.
 * Not locked. A link that is in no list points to itself, or is all zeros.
 */
#pragma once

#include "base/cc.h"

struct list {
	struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

/* Of a head: nothing is in it. Of a link: it is in no list. */
static inline bool list_empty(const struct list *l)
{
	return l->next == l || !l->next;
}

/* Behind all others; the link is in no list. */
static inline void list_append(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Out of whatever list it is in; fine for one that is in none. */
static inline void list_remove(struct list *link)
{
	if (list_empty(link))
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}
