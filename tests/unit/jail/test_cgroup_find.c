/* SPDX-License-Identifier: Apache-2.0 */
/* The table of mounts, and where a hierarchy is in it. */
#include "jail/cgroup.h"
#include "jail/mountinfo.h"
#include "test.h"

static const char hybrid[] =
	"24 1 254:0 / / rw - ext4 /dev/vda rw\n"
	"30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
	"31 25 0:27 / /odd\\040place\\134x rw - cgroup none rw,cpuset\n"
	"no line of mounts\n"
	"32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
	"33 25 0:29 / /fake rw - tmpfs cgroup rw,memory";

TEST(controllers_are_found_by_option)
{
	char path[CGROUP_PATH_MAX];

	CHECK_EQ(cgroup_find(hybrid, "cpu", path), 0);
	CHECK(strcmp(path, "/sys/fs/cgroup/cpu,cpuacct") == 0);
	CHECK_EQ(cgroup_find(hybrid, "cpuacct", path), 0);
	CHECK_EQ(cgroup_find(hybrid, "cpuset", path), 0);
	CHECK(strcmp(path, "/odd place\\x") == 0);
	CHECK_EQ(cgroup_find(hybrid, NULL, path), 0);
	CHECK(strcmp(path, "/sys/fs/cgroup/unified") == 0);
	CHECK_EQ(cgroup_find(hybrid, "memory", path), -ENOENT);
	CHECK_EQ(cgroup_find(hybrid, "cp", path), -ENOENT);
	CHECK_EQ(cgroup_find("", NULL, path), -ENOENT);
}

TEST(long_paths_are_no_paths)
{
	static char text[4096];
	char path[CGROUP_PATH_MAX];

	memset(path, 'p', sizeof(path));
	snprintf(
		text, sizeof(text), "32 25 0:28 / /%.*s rw - cgroup2 cgroup2 rw\n", 600,
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp");
	CHECK_EQ(cgroup_find(text, NULL, path), 0);
	CHECK_EQ(path[0], '\0');
}

TEST(this_host_has_a_root)
{
	struct mountinfo_line line;
	struct err e = { 0 };
	const char *at;
	char *text = NULL;
	bool root = false;

	CHECK_EQ(mountinfo_read(&text, &e), 0);
	for (at = text; mountinfo_next(&at, &line) > 0;)
		root |= strcmp(line.point, "/") == 0;
	free(text);
	CHECK(root);
}
