/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/random.h"
#include "vmm/snapshot_records.h"

/* Says what was done to what: "/s/mem: it cannot be synced: Input/output error". */
static int fail(const struct snap_target *t, const char *what, int r, struct err *e)
{
	return err_set(e, ERR_INTERNAL, r, "%s: %s (os error %d): %s", what, strerror(-r), -r,
		       t->path);
}

/* --- one file --------------------------------------------------------------- */

static int open_folder(struct snap_target *t)
{
	char dir[SNAP_PATH_MAX];
	size_t len = (size_t)(t->name - t->path);
	int r = FAULT(-EACCES);

	if (r < 0)
		return r;
	if (len >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, t->path, len);
	memcpy(dir + len, len > 0 ? "" : ".", len > 0 ? 1 : 2);
	t->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->dir_fd < 0 ? -errno : 0;
}

/* A link is replaced, whatever it leads to. */
static int check_place(struct snap_target *t)
{
	struct stat st;

	if (t->name[0] == '\0' || strcmp(t->name, ".") == 0 || strcmp(t->name, "..") == 0)
		return -EISDIR;
	if (fstatat(t->dir_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? 0 : -ENOTSUP;
}

static int make_temp(struct snap_target *t)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY;
	uint64_t id = 0;
	int r = random_fill(&id, sizeof(id));
	/* A name has 255 bytes at most: as many of the target's as leave room. */
	int n = snprintf(t->temp, sizeof(t->temp), "%.200s.%016llx.partial", t->name,
			 (unsigned long long)id);

	if (r == 0)
		r = FAULT(-ENOSPC);
	if (r == 0 && n >= (int)sizeof(t->temp))
		r = -ENAMETOOLONG;
	if (r == 0) {
		t->fd = openat(t->dir_fd, t->temp, flags, 0666);
		r = t->fd < 0 ? -errno : 0;
	}
	if (r < 0)
		t->temp[0] = '\0';
	return r;
}

int snap_target_open(struct snap_target *t, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int r;

	*t = (struct snap_target){
		.path = path,
		.name = slash ? slash + 1 : path,
		.dir_fd = -1,
		.fd = -1,
	};
	r = open_folder(t);
	if (r < 0)
		return fail(t, "the file's folder cannot be opened", r, e);
	r = check_place(t);
	if (r == 0)
		r = make_temp(t);
	if (r == 0)
		return 0;
	snap_target_drop(t);
	return fail(t,
		    r == -ENOTSUP ? "what is there is no regular file"
				  : "the file cannot be created",
		    r, e);
}

int snap_check_apart(const struct snap_target *memory, const struct snap_target *state,
		     struct err *e)
{
	struct stat m, s;

	if (strcmp(memory->name, state->name) != 0)
		return 0;
	if (fstat(memory->dir_fd, &m) < 0 || fstat(state->dir_fd, &s) < 0)
		return fail(state, "the file's folder cannot be looked at", -errno, e);
	if (m.st_dev != s.st_dev || m.st_ino != s.st_ino)
		return 0;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "`snapshot_path` and `mem_file_path` are the same file: a snapshot is two");
}

void snap_target_drop(struct snap_target *t)
{
	if (t->temp[0])
		(void)unlinkat(t->dir_fd, t->temp, 0);
	if (t->aside[0])
		(void)unlinkat(t->dir_fd, t->aside, 0);
	t->temp[0] = t->aside[0] = '\0';
	fd_close_(&t->fd);
	fd_close_(&t->dir_fd);
	t->fd = t->dir_fd = -1;
}

static ssize_t write_some(int fd, const void *data, size_t len)
{
	ssize_t n = FAULT(-ENOSPC);

	if (n < 0)
		return n;
	n = write(fd, data, len);
	return n < 0 ? -errno : n;
}

int snap_target_write(const struct snap_target *t, const void *data, size_t len, struct err *e)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write_some(t->fd, at, len);

		if (n == -EINTR) /* io_uring's task work */
			continue;
		if (n < 0)
			return fail(t, "the file cannot be written", (int)n, e);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_fd(int fd)
{
	int r = FAULT(-EIO);

	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* --- both ------------------------------------------------------------------- */

static int rename_in(const struct snap_target *t, const char *from, const char *to, unsigned flags)
{
	return renameat2(t->dir_fd, from, t->dir_fd, to, flags) < 0 ? -errno : 0;
}

/*
 * What is there is kept under the temporary name, where the file system can exchange
 * two files in one step; most can.
 */
static int put_in_place(struct snap_target *t)
{
	int r = FAULT(-EIO);

	if (r < 0)
		return r;
	r = rename_in(t, t->temp, t->name, RENAME_EXCHANGE);
	if (r == 0) {
		t->place = SNAP_EXCHANGED;
		return 0;
	}
	r = rename_in(t, t->temp, t->name, 0);
	if (r == 0)
		t->place = SNAP_PLACED;
	return r;
}

/* The old file leaves its place, and that is on the disk. */
static int put_aside(struct snap_target *t)
{
	int r = FAULT(-EIO);

	if (r < 0)
		return r;
	snprintf(t->aside, sizeof(t->aside), "%.*s.old",
		 (int)(strlen(t->temp) - strlen(".partial")), t->temp);
	r = rename_in(t, t->name, t->aside, 0);
	if (r < 0)
		t->aside[0] = '\0';
	return r < 0 ? r : sync_fd(t->dir_fd);
}

/* As it was before put_aside() and put_in_place(). */
static void take_back(struct snap_target *t)
{
	switch (t->place) {
	case SNAP_BESIDE:
		break;
	case SNAP_PLACED:
		(void)rename_in(t, t->name, t->temp, 0);
		break;
	case SNAP_EXCHANGED:
		(void)rename_in(t, t->temp, t->name, RENAME_EXCHANGE);
		break;
	}
	t->place = SNAP_BESIDE;
	if (t->aside[0])
		(void)rename_in(t, t->aside, t->name, 0);
	t->aside[0] = '\0';
}

static int place_both(struct snap_target *memory, struct snap_target *state, struct err *e)
{
	int r = put_aside(state);

	if (r < 0 && r != -ENOENT)
		return fail(state, "the old file cannot be put aside", r, e);
	r = put_in_place(memory);
	if (r < 0)
		return fail(memory, "the file cannot be put into its place", r, e);
	r = sync_fd(memory->dir_fd);
	if (r < 0)
		return fail(memory, "the file's folder cannot be synced", r, e);
	r = put_in_place(state);
	if (r < 0)
		return fail(state, "the file cannot be put into its place", r, e);
	r = sync_fd(state->dir_fd);
	return r < 0 ? fail(state, "the file's folder cannot be synced", r, e) : 0;
}

int snap_publish(struct snap_target *memory, struct snap_target *state, struct err *e)
{
	int r = sync_fd(memory->fd);

	if (r < 0)
		return fail(memory, "the file cannot be synced", r, e);
	r = sync_fd(state->fd);
	if (r < 0)
		return fail(state, "the file cannot be synced", r, e);
	r = place_both(memory, state, e);
	if (r < 0) {
		take_back(state);
		take_back(memory);
		return r;
	}
	/* Only an old file has the temporary name now. */
	if (memory->place == SNAP_PLACED)
		memory->temp[0] = '\0';
	if (state->place == SNAP_PLACED)
		state->temp[0] = '\0';
	return 0;
}

/* --- reading ---------------------------------------------------------------- */

/* Non-blocking, so that a FIFO is not waited for. */
static int open_regular(const char *path, const char *what, struct stat *st, struct err *e)
{
	int fd = FAULT(-EACCES);

	if (fd == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "the %s cannot be opened: %s (os error %d): %s",
			       what, strerror(-fd), -fd, path);
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		close(fd);
		return err_set(e, ERR_INVALID, -EINVAL, "the %s is no regular file: %s", what,
			       path);
	}
	return fd;
}

int snap_file_read(const char *path, uint8_t **ret_data, size_t *ret_len, struct err *e)
{
	struct stat st = { 0 };
	autoclose int fd = open_regular(path, "state file", &st, e);
	autofree uint8_t *data = NULL;
	size_t len;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (st.st_size > SNAP_STATE_MAX)
		return err_set(e, ERR_INVALID, -EFBIG,
			       "the state file has %lld bytes, more than any of wisp's (%d): %s",
			       (long long)st.st_size, SNAP_STATE_MAX, path);
	len = (size_t)st.st_size;
	data = FAULT(-ENOMEM) < 0 ? NULL : malloc(len + 1);
	if (!data)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for the state file: %s", path);
	n = FAULT(-EIO) < 0 ? -1 : pread(fd, data, len, 0);
	if (n != (ssize_t)len)
		return err_set(e, ERR_INVALID, -EIO, "the state file cannot be read: %s", path);
	*ret_data = take_ptr(&data);
	*ret_len = len;
	return 0;
}

int snap_memory_open(const char *path, uint64_t size, int *ret_fd, struct err *e)
{
	struct stat st = { 0 };
	autoclose int fd = open_regular(path, "memory file", &st, e);

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size != size)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the memory file has %lld bytes and the machine's memory %llu: is "
			       "it another snapshot's? %s",
			       (long long)st.st_size, (unsigned long long)size, path);
	*ret_fd = take_fd(&fd);
	return 0;
}
