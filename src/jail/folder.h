/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail's folder on the host: <base>/<name>/<id>/root, and what stands in it.
 *
 *   root/dev/{kvm,net/tun,urandom,userfaultfd}, root/run, root/<name>.pid
 *
 * `root' and its folders belong to the microVM's user, mode 0700; what is above belongs to
 * the caller.
 */
#pragma once

#include "jail/beneath.h"
#include "jail/plan.h"

enum { FOLDER_NODES_MAX = 4, FOLDER_PATH_MAX = 400 };

struct folder {
	struct beneath root;		/* descriptor owned */
	char path[FOLDER_PATH_MAX + 1]; /* of the root, for messages */
};

#define FOLDER_NONE                 \
	{                           \
		.root = {.fd = -1 } \
	}

void folder_fini(struct folder *f);

/* Makes what is missing of the path, and opens `root'. */
must_check int folder_make(struct folder *f, const struct plan *p, struct err *e);

/* 1 when --exec-file is the program that runs, 0 when it is another one. */
must_check int folder_whose_program(const struct plan *p, struct err *e);

/*
 * A new pid file for writing, and the lock that says that a microVM lives here; -EBUSY when
 * one does already.
 */
must_check int folder_pid_file(const struct folder *f, const struct plan *p, int *ret_file,
			       int *ret_lock, struct err *e);

/* Copies --exec-file into the root, owned by the microVM's user. */
must_check int folder_copy_program(const struct folder *f, const struct plan *p, struct err *e);

/* Folders, and device nodes, or files to mount devices on. */
must_check int folder_furnish(const struct folder *f, const struct plan *p, bool nodes,
			      struct err *e);

/* The devices: path in the jail and on the host, and whether this one is to be there. */
const char *folder_node_path(unsigned i);
must_check bool folder_node_given(unsigned i);

/* -EBUSY while a microVM holds the folder's lock. */
must_check int folder_check_dead(const struct plan *p, struct err *e);

/* Removes <base>/<name>/<id>. */
must_check int folder_remove(const struct plan *p, struct err *e);
