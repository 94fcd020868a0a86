/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a jail is to be: the words of the command line, checked, without side effects.
 * For the files of this layer and their tests; everybody else sees `struct jail'.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "jail/jail.h"

enum {
	PLAN_ID_MAX = 64,
	PLAN_NAME_MAX = 64, /* base name of the executable, with the NUL */
	PLAN_CGROUPS_MAX = 64,
	PLAN_NOFILE_DEFAULT = 2048,
};
#define PLAN_BASE_DEFAULT "/srv/jailer"
#define PLAN_UNLIMITED	  UINT64_MAX

struct plan_cgroup { /* one --cgroup; points into the option's text */
	const char *file;
	size_t file_len;
	const char *value;
};

struct plan { /* texts are the caller's and outlive it */
	const char *id;
	const char *exec_file;
	char name[PLAN_NAME_MAX]; /* base name of exec_file */
	const char *base;
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;
	const char *netns;	   /* NULL: the caller's */
	const char *parent_cgroup; /* NULL: `name' */
	unsigned cgroup_version;   /* 0: what the host has */
	struct plan_cgroup cgroups[PLAN_CGROUPS_MAX];
	unsigned ncgroups;
	uint64_t fsize;	 /* bytes; PLAN_UNLIMITED: not changed */
	uint64_t nofile; /* descriptors */
	unsigned flags;	 /* of enum jail_flag */
};

void plan_init(struct plan *p);

/* One option's value each; the error names option and reason. */
must_check int plan_set_id(struct plan *p, const char *text, struct err *e);
must_check int plan_set_exec_file(struct plan *p, const char *text, struct err *e);
must_check int plan_set_uid(struct plan *p, const char *text, struct err *e);
must_check int plan_set_gid(struct plan *p, const char *text, struct err *e);
must_check int plan_set_base(struct plan *p, const char *text, struct err *e);
must_check int plan_set_netns(struct plan *p, const char *text, struct err *e);
must_check int plan_set_parent_cgroup(struct plan *p, const char *text, struct err *e);
must_check int plan_set_cgroup_version(struct plan *p, const char *text, struct err *e);
must_check int plan_add_cgroup(struct plan *p, const char *text, struct err *e);
must_check int plan_set_limit(struct plan *p, const char *text, struct err *e);

/* Whether what must be given was. */
must_check int plan_check(const struct plan *p, struct err *e);
