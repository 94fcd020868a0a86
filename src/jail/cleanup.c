/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

enum { DEPTH_MAX = 24, PASSES_MAX = 8 };

struct level {		/* a folder that is being emptied */
	DIR *dir;	/* owned; its descriptor with it */
	char name[256]; /* in the level above */
};

struct walk { /* from the outermost folder to the one that is emptied now */
	struct level at[DEPTH_MAX];
	unsigned depth;
};

static void walk_fini(struct walk *w)
{
	while (w->depth > 0)
		closedir(w->at[--w->depth].dir);
}
#define auto_walk cleanup_with(walk_fini)

static int fail(const struct beneath *b, const char *name, int r, struct err *e)
{
	return err_set(e, ERR_INVALID, r, "`%s': `%.100s': %s", b->name, name,
		       r == -EBUSY || r == -EXDEV ? "something is mounted there: unmount it first"
						  : strerror(-r));
}

static int enter(struct walk *w, int parent, const char *name)
{
	autoclose int fd = -1;
	struct level *l = &w->at[w->depth];

	if (w->depth == DEPTH_MAX)
		return -ELOOP;
	if (strlen(name) >= sizeof(l->name))
		return -ENAMETOOLONG;
	/* Not by st_dev: a folder of the same file system may be mounted here, too. */
	fd = beneath_open_no_mount(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	l->dir = fdopendir(fd);
	if (!l->dir)
		return -errno;
	(void)take_fd(&fd);
	memcpy(l->name, name, strlen(name) + 1);
	w->depth++;
	return 0;
}

/* The name of a folder that could not be unlinked as a file, NULL when all files are gone. */
static const char *remove_files(struct level *l, int *ret_error)
{
	struct dirent *d;

	*ret_error = 0;
	while ((d = readdir(l->dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(l->dir), d->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR)
			*ret_error = -errno;
		return d->d_name;
	}
	return NULL;
}

/* The innermost folder is empty: away with it. */
static int leave(struct walk *w, int top)
{
	struct level *l = &w->at[w->depth - 1];
	int parent = w->depth > 1 ? dirfd(w->at[w->depth - 2].dir) : top;
	int r = unlinkat(parent, l->name, AT_REMOVEDIR) < 0 ? -errno : 0;

	closedir(l->dir);
	w->depth--;
	/* The level above is read from its start: names may have come and gone. */
	if (w->depth > 0)
		rewinddir(w->at[w->depth - 1].dir);
	return r == -ENOENT ? 0 : r;
}

int cleanup_tree(const struct beneath *b, const char *name, struct err *e)
{
	auto_walk struct walk w = { 0 };
	unsigned again = 0;
	int r = enter(&w, b->fd, name);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fail(b, name, r, e);
	while (w.depth > 0) {
		int error;
		const char *inner = remove_files(&w.at[w.depth - 1], &error);

		if (inner) {
			r = error < 0 ? error : enter(&w, dirfd(w.at[w.depth - 1].dir), inner);
			if (r < 0 && r != -ENOENT)
				return fail(b, inner, r, e);
			continue;
		}
		name = w.at[w.depth - 1].name;
		r = leave(&w, b->fd);
		/* Somebody puts new files in: not for ever. */
		if (r == -ENOTEMPTY && ++again < PASSES_MAX && w.depth > 0)
			continue;
		if (r < 0)
			return fail(b, name, r, e);
	}
	return 0;
}
