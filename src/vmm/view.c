/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/view.h"

#include <string.h>

#include "base/fault.h"

void view_board_init(struct view_board *board)
{
	pthread_mutex_init(&board->lock, NULL);
	board->newest = NULL;
}

void view_board_fini(struct view_board *board)
{
	view_put(board->newest);
	pthread_mutex_destroy(&board->lock);
}

struct view *view_create(size_t len)
{
	struct view *view = FAULT(-ENOMEM) < 0 ? NULL : malloc(sizeof(*view) + len);

	if (view)
		*view = (struct view){ .refs = 1 };
	return view;
}

int view_publish(struct view_board *board, const struct view_texts *texts)
{
	const char *in[] = { texts->instance, texts->machine_config, texts->vm_config,
			     texts->mmds };
	size_t len[ARRAY_SIZE(in)], total = 0;
	struct view *view, *old;
	char *at;

	for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
		total += len[i] = in[i] ? strlen(in[i]) + 1 : 0;
	view = view_create(total);
	if (!view)
		return -ENOMEM;
	at = view->text;
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
		at = (char *)memcpy(at, in[i] ? in[i] : "", len[i]) + len[i];
	view->instance = view->text;
	view->machine_config = view->instance + len[0];
	view->vm_config = view->machine_config + len[1];
	view->mmds = texts->mmds ? view->vm_config + len[2] : NULL;

	pthread_mutex_lock(&board->lock);
	old = board->newest;
	board->newest = view;
	pthread_mutex_unlock(&board->lock);
	view_put(old);
	return 0;
}

struct view *view_get(struct view_board *board)
{
	struct view *view;

	pthread_mutex_lock(&board->lock);
	view = board->newest;
	__atomic_fetch_add(&view->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&board->lock);
	return view;
}

void view_put(struct view *view)
{
	if (view && __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(view);
}
