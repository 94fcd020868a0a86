/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two files of a snapshot: written beside their places under names of their own,
 * synced, and put into place together. What stood there before is whole until then,
 * and again when the second one cannot be put there. A process or a host that dies in
 * between leaves no state file in its place: never a new memory file beside an old state.
 *
 * Main thread.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

enum { SNAP_PATH_MAX = 4096 };

struct snap_target {
	const char *path; /* the caller's */
	const char *name; /* its last part */
	int dir_fd;	  /* owned: the folder */
	int fd;		  /* owned: the new file, empty, for reading and writing */
	char temp[256];	  /* name of it in the folder; "": there is none (any more) */
	char aside[256];  /* name of the old file, while it is out of its place; "": none */
	enum snap_place {
		SNAP_BESIDE,
		SNAP_PLACED,	/* there was nothing in its place */
		SNAP_EXCHANGED, /* the old file is called `temp' now */
	} place;
};

/* A folder, a device, a place that cannot be written: refused, and nothing is there. */
must_check int snap_target_open(struct snap_target *t, const char *path, struct err *e);

/* -EINVAL: both are one place, however it was spelt. */
must_check int snap_check_apart(const struct snap_target *memory, const struct snap_target *state,
				struct err *e);

/* Removes what is beside its place; again is fine. */
void snap_target_drop(struct snap_target *t);

/* All of it, at the end of the file. */
must_check int snap_target_write(const struct snap_target *t, const void *data, size_t len,
				 struct err *e);

/* Both or none: synced and in their places. */
must_check int snap_publish(struct snap_target *memory, struct snap_target *state, struct err *e);

/*
 * The bytes of a state file: a regular file of at most SNAP_STATE_MAX bytes; freed
 * with free().
 */
must_check int snap_file_read(const char *path, uint8_t **ret_data, size_t *ret_len, struct err *e);

/* The memory file, which must have this size; for reading. */
must_check int snap_memory_open(const char *path, uint64_t size, int *ret_fd, struct err *e);
