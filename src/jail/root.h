/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root directory: a mount namespace that holds the jail's folder and what is mounted
 * below it, and nothing of the host.
 *
 * Theory of operation. unshare(CLONE_NEWNS) copies the host's whole table of mounts, so a
 * jail made that way gets slower with every mount that the host has. Here the folder is
 * first cloned as a tree of its own (open_tree), then the process enters a tiny namespace
 * that was made once and is kept at ROOT_PINNED, takes a copy of that (one mount, empty,
 * read-only), puts the tree on top and makes it its root. What the host mounts below the
 * folder later still arrives (the tree is a slave); nothing goes back.
 *
 * Where the tiny namespace cannot be kept, or in a user namespace, the host's table is
 * copied after all, and thrown away by pivot_root.
 *
 * The clone is nosuid, and noexec when no program is to be executed in it.
 */
#pragma once

#include "base/err.h"

#define ROOT_PINNED "/run/wisp-jailer.mnt"

enum { ROOT_NODES_MAX = 4 };

struct root_node {
	const char *path; /* below the root; a file that is there */
	int tree;	  /* of open_tree(); owned by the caller */
};

struct root_cfg {
	int dirfd;	  /* the folder */
	const char *name; /* in messages */
	bool noexec;
	/* The caller has entered one with its mounts, and `dirfd' is its working directory. */
	bool in_user_ns;
	const struct root_node *nodes; /* to be mounted on files in the root */
	unsigned nnodes;
};

/* A clone of the mount at a path of the host, for root_node.tree. -errno. */
must_check int root_clone(const char *path);

/* Whether device nodes in the folder can be opened: not on a nodev mount. */
must_check int root_check_nodev(int dirfd, const char *name, struct err *e);

/* The same for programs and noexec. */
must_check int root_check_noexec(int dirfd, const char *name, struct err *e);

/* Changes the calling process's mount namespace, root and working directory. */
must_check int root_enter(const struct root_cfg *cfg, struct err *e);
