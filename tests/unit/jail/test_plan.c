/* SPDX-License-Identifier: Apache-2.0 */
/* What a jail may be declared to be: both sides of every limit. */
#include "jail/plan.h"
#include "test.h"

typedef int (*set_fn)(struct plan *, const char *, struct err *);

#define C64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define C63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	set_fn set;
	const char *text;
	bool good;
	const char *says; /* of the error */
} rows[] = {
	{ plan_set_id, "a", true, NULL },
	{ plan_set_id, "A-z-09", true, NULL },
	{ plan_set_id, C64, true, NULL },
	{ plan_set_id, C64 "a", false, "1 to 64" },
	{ plan_set_id, "", false, "1 to 64" },
	{ plan_set_id, "..", false, "position 0" },
	{ plan_set_id, "a/b", false, "position 1" },
	{ plan_set_id, "a_b", false, "position 1" },
	{ plan_set_id, "a\n", false, "position 1" },
	{ plan_set_exec_file, "/usr/bin/firecracker", true, NULL },
	{ plan_set_exec_file, "wisp", true, NULL },
	{ plan_set_exec_file, "/x/" C63, true, NULL },
	{ plan_set_exec_file, "/x/" C64, false, "more than 63" },
	{ plan_set_exec_file, "", false, "names no file" },
	{ plan_set_exec_file, "/usr/bin/", false, "names no file" },
	{ plan_set_exec_file, "/usr/..", false, "names no file" },
	{ plan_set_exec_file, ".", false, "names no file" },
	{ plan_set_uid, "0", true, NULL },
	{ plan_set_uid, "4294967294", true, NULL },
	{ plan_set_uid, "4294967295", false, "--uid: 4294967295 is more than 4294967294" },
	{ plan_set_uid, "18446744073709551616", false, "not a whole number" },
	{ plan_set_uid, "-1", false, "not a whole number" },
	{ plan_set_uid, "", false, "not a whole number" },
	{ plan_set_uid, "1 ", false, "not a whole number" },
	{ plan_set_uid, "0x10", false, "not a whole number" },
	{ plan_set_gid, "4294967294", true, NULL },
	{ plan_set_gid, "4294967295", false, "--gid: " },
	{ plan_set_base, "/srv", true, NULL },
	{ plan_set_base, "", false, "--chroot-base-dir: the path is empty" },
	{ plan_set_netns, "", false, "--netns: the path is empty" },
	{ plan_set_parent_cgroup, "a", true, NULL },
	{ plan_set_parent_cgroup, "a/..b/c..", true, NULL },
	{ plan_set_parent_cgroup, "/a", false, "must be relative" },
	{ plan_set_parent_cgroup, "", false, "must be relative" },
	{ plan_set_parent_cgroup, "..", false, "goes up" },
	{ plan_set_parent_cgroup, "a/../b", false, "goes up" },
	{ plan_set_parent_cgroup, "a/..", false, "goes up" },
	{ plan_set_cgroup_version, "1", true, NULL },
	{ plan_set_cgroup_version, "2", true, NULL },
	{ plan_set_cgroup_version, "0", false, "neither 1 nor 2" },
	{ plan_set_cgroup_version, "3", false, "neither 1 nor 2" },
	{ plan_set_cgroup_version, "", false, "neither 1 nor 2" },
	{ plan_add_cgroup, "cpu.shares=1", true, NULL },
	{ plan_add_cgroup, "io.max=8:0 rbps=1", true, NULL },
	{ plan_add_cgroup, "cpu.shares", false, "is not FILE=VALUE" },
	{ plan_add_cgroup, "cpu.shares=", false, "is not FILE=VALUE" },
	{ plan_add_cgroup, "=1", false, "is not FILE=VALUE" },
	{ plan_add_cgroup, "../cpu.shares=1", false, "is not the name" },
	{ plan_add_cgroup, "..=1", false, "is not the name" },
	{ plan_add_cgroup, "tasks=1", false, "is not the name" },
	{ plan_set_limit, "no-file=1", true, NULL },
	{ plan_set_limit, "fsize=0", true, NULL },
	{ plan_set_limit, "fsize=18446744073709551614", true, NULL },
	{ plan_set_limit, "fsize=18446744073709551615", false, "is more than" },
	{ plan_set_limit, "fsize=", false, "not a whole number" },
	{ plan_set_limit, "fsize=-1", false, "not a whole number" },
	{ plan_set_limit, "nofile=1", false, "neither fsize=BYTES" },
	{ plan_set_limit, "core=1", false, "neither fsize=BYTES" },
};

TEST(both_sides_of_every_limit)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan p;
		struct err e = { 0 };
		int r;

		plan_init(&p);
		r = rows[i].set(&p, rows[i].text, &e);
		if ((r == 0) != rows[i].good || (r < 0 && !strstr(e.msg, rows[i].says)))
			fprintf(stderr, "# row %u: %d, %s\n", i, r, e.msg);
		CHECK((r == 0) == rows[i].good);
		CHECK(r == 0 || strstr(e.msg, rows[i].says));
	}
}

TEST(what_must_be_given)
{
	static const struct {
		set_fn set;
		const char *text, *name;
	} needs[] = {
		{ plan_set_id, "a", "'--id'" },
		{ plan_set_exec_file, "/x", "'--exec-file'" },
		{ plan_set_uid, "1", "'--uid'" },
		{ plan_set_gid, "1", "'--gid'" },
	};
	struct plan p;

	plan_init(&p);
	for (unsigned i = 0; i < 4; i++) {
		struct err e = { 0 };

		CHECK_EQ(plan_check(&p, &e), -EINVAL);
		CHECK(strstr(e.msg, needs[i].name));
		CHECK_EQ(needs[i].set(&p, needs[i].text, &e), 0);
	}
	{
		struct err e = { 0 };

		CHECK_EQ(plan_check(&p, &e), 0);
	}
	CHECK_EQ(p.nofile, 2048);
	CHECK(strcmp(p.base, "/srv/jailer") == 0);
}

TEST(values_are_taken_apart)
{
	struct plan p;
	struct err e = { 0 };

	plan_init(&p);
	CHECK_EQ(plan_set_exec_file(&p, "/opt/x/fire", &e), 0);
	CHECK(strcmp(p.name, "fire") == 0);
	CHECK_EQ(plan_add_cgroup(&p, "io.max=8:0 a=b", &e), 0);
	CHECK_EQ(p.cgroups[0].file_len, 6);
	CHECK(strcmp(p.cgroups[0].value, "8:0 a=b") == 0);
	for (unsigned i = 1; i < PLAN_CGROUPS_MAX; i++)
		CHECK_EQ(plan_add_cgroup(&p, "a.b=c", &e), 0);
	CHECK_EQ(plan_add_cgroup(&p, "a.b=c", &e), -E2BIG);
}
