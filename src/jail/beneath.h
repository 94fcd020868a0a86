/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below a folder that somebody else may have prepared.
 *
 * The jailer runs as root in folders that belong to the microVM's user. Every path
 * here is relative to an open folder and is resolved by openat2(2) beneath it, through
 * no symbolic link, so that nothing can be swapped for a way out. What is to be given
 * away is first opened, then looked at, then changed through the descriptor. Errors
 * name the path below the jail.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

struct beneath {
	int fd;		  /* the folder; caller's */
	const char *name; /* how messages call it */
};

/* A descriptor or a negative errno; O_CLOEXEC is added. `mode' counts with O_CREAT. */
must_check int beneath_open(int dirfd, const char *path, int flags, mode_t mode);

/* The same for what exists; -EXDEV when it is on another mount, of whatever file system. */
must_check int beneath_open_no_mount(int dirfd, const char *path, int flags);

/*
 * The folder `path', made if need be with mode 0755; opened for reading. *ret_made (NULL:
 * not wanted) says whether it is new.
 */
must_check int beneath_folder(const struct beneath *b, const char *path, int *ret_fd,
			      bool *ret_made, struct err *e);

/* The folder `path', made if need be, then mode 0700 and owned by uid:gid. */
must_check int beneath_own_folder(const struct beneath *b, const char *path, uid_t uid, gid_t gid,
				  struct err *e);

/*
 * The character device `path', mode 0600 and owned by uid:gid. One that is there already
 * is taken when it is the same device.
 */
must_check int beneath_node(const struct beneath *b, const char *path, dev_t dev, uid_t uid,
			    gid_t gid, struct err *e);

/*
 * A new regular file for writing. What is there is replaced when it is a regular file
 * with this one name; anything else is refused.
 */
must_check int beneath_new_file(const struct beneath *b, const char *path, mode_t mode, int *ret_fd,
				struct err *e);
