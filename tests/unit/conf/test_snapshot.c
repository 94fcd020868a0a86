/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "expect.h"

#define PATHS "\"snapshot_path\":\"s\",\"mem_file_path\":\"m\""

static struct conf_snapshot_create create;
static struct conf_snapshot_load load;
static struct err err;

static int parse_load(const char *body, size_t len, struct conf_snapshot_load *ret, struct err *e)
{
	bool deprecated;

	return conf_snapshot_load_parse(body, len, ret, &deprecated, e);
}

/* Whether something deprecated is in the body. */
static bool is_deprecated(const char *body)
{
	bool deprecated = false;

	CHECK_EQ(conf_snapshot_load_parse(body, strlen(body), &load, &deprecated, &err), 0);
	return deprecated;
}

TEST(create)
{
	static const char full[] = "{" PATHS "}";
	static const char diff[] = "{\"snapshot_type\":\"Diff\"," PATHS "}";

	CHECK_EQ(conf_snapshot_create_parse(full, strlen(full), &create, &err), 0);
	CHECK_EQ(create.snapshot_type, CONF_SNAPSHOT_FULL);
	CHECK_EQ(strcmp(create.snapshot_path, "s"), 0);
	CHECK_EQ(strcmp(create.mem_file_path, "m"), 0);
	CHECK_EQ(conf_snapshot_create_parse(diff, strlen(diff), &create, &err), 0);
	CHECK_EQ(create.snapshot_type, CONF_SNAPSHOT_DIFF);
}

TEST(bad_creates)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `snapshot_path` at line 1 column 2" },
		{ "{\"snapshot_path\":\"s\"}", -EBADMSG, "missing field `mem_file_path` *" },
		{ "{" PATHS ",\"snapshot_type\":\"full\"}", -EBADMSG,
		  "unknown variant `full`, expected `Diff` or `Full` *" },
		{ "{" PATHS ",\"version\":\"1\"}", -EBADMSG,
		  "unknown field `version`, expected one of `snapshot_type`, `snapshot_path`, "
		  "`mem_file_path` *" },
		{ "{\"snapshot_path\":\"\",\"mem_file_path\":\"m\"}", -EINVAL,
		  "`snapshot_path` is empty" },
		{ "{\"snapshot_path\":\"s\",\"mem_file_path\":\"\"}", -EINVAL,
		  "`mem_file_path` is empty" },
		{ "{\"snapshot_path\":1,\"mem_file_path\":\"m\"}", -EBADMSG,
		  "invalid type: integer `1`, expected a string *" },
	};

	EXPECT_ALL_BAD(conf_snapshot_create_parse, struct conf_snapshot_create, bads);
}

TEST(load_in_full)
{
	static const char body[] =
		"{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"Uffd\","
		"\"backend_path\":\"u\"},\"track_dirty_pages\":true,\"resume_vm\":true,"
		"\"network_overrides\":[{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap1\"},"
		"{\"iface_id\":\"eth1\",\"host_dev_name\":\"tap2\",\"more\":1}],"
		"\"vsock_override\":{\"uds_path\":\"/v\"},\"clock_realtime\":true,"
		"\"huge_pages\":\"2M\"}";

	CHECK(!is_deprecated(body));
	CHECK_EQ(load.mem.backend_type, CONF_MEM_UFFD);
	CHECK_EQ(strcmp(load.mem.backend_path, "u"), 0);
	CHECK(load.track_dirty_pages && load.resume_vm && load.clock_realtime && load.has_vsock);
	CHECK_EQ(strcmp(load.vsock.uds_path, "/v"), 0);
	CHECK_EQ(load.nnetworks, 2);
	CHECK_EQ(strcmp(load.network[1].iface_id, "eth1"), 0);
	CHECK_EQ(strcmp(load.network[1].host_dev_name, "tap2"), 0);
	CHECK_EQ(load.huge_pages, CONF_SNAPSHOT_PAGES_2M);
}

TEST(load_with_what_is_deprecated)
{
	CHECK(is_deprecated("{" PATHS "}"));
	CHECK_EQ(load.mem.backend_type, CONF_MEM_FILE);
	CHECK_EQ(strcmp(load.mem.backend_path, "m"), 0);
	CHECK(!load.track_dirty_pages && !load.resume_vm && !load.clock_realtime);
	CHECK_EQ(load.huge_pages, CONF_SNAPSHOT_PAGES_SAVED);
	CHECK(is_deprecated("{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\","
			    "\"backend_path\":\"m\"},\"enable_diff_snapshots\":true}"));
	CHECK(load.track_dirty_pages);
	CHECK(is_deprecated("{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\","
			    "\"backend_path\":\"m\"},\"enable_diff_snapshots\":false}"));
	CHECK(!load.track_dirty_pages);
	CHECK(!is_deprecated("{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\","
			     "\"backend_path\":\"m\"},\"mem_file_path\":null,"
			     "\"vsock_override\":null}"));
	CHECK(!load.has_vsock);
}

TEST(bad_loads)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `snapshot_path` at line 1 column 2" },
		{ "{\"snapshot_path\":\"s\"}", -EBADMSG,
		  "missing field: either `mem_backend` or `mem_file_path` is required" },
		{ "{" PATHS ",\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":\"m\"}}",
		  -EBADMSG,
		  "too many fields: either `mem_backend` or `mem_file_path` exclusively is "
		  "required" },
		{ "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_path\":\"m\"}}", -EBADMSG,
		  "missing field `backend_type` *" },
		{ "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\"}}", -EBADMSG,
		  "missing field `backend_path` *" },
		{ "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"Nfs\","
		  "\"backend_path\":\"m\"}}",
		  -EBADMSG, "unknown variant `Nfs`, expected `File` or `Uffd` *" },
		{ "{" PATHS ",\"huge_pages\":\"1G\"}", -EBADMSG,
		  "unknown variant `1G`, expected one of `Snapshot`, `None`, `Transparent`, `2M` "
		  "*" },
		{ "{" PATHS ",\"network_overrides\":[{\"iface_id\":\"e\"}]}", -EBADMSG,
		  "missing field `host_dev_name` *" },
		{ "{" PATHS ",\"network_overrides\":[{\"iface_id\":\"e\",\"host_dev_name\":\"\"}]}",
		  -EINVAL, "`host_dev_name` of interface `e` is empty" },
		{ "{" PATHS ",\"network_overrides\":{}}", -EBADMSG, "invalid type: map, *" },
		{ "{" PATHS ",\"vsock_override\":{}}", -EBADMSG, "missing field `uds_path` *" },
		{ "{" PATHS ",\"resume_vm\":\"yes\"}", -EBADMSG, "invalid type: string *" },
		{ "{" PATHS ",\"more\":1}", -EBADMSG,
		  "unknown field `more`, expected one of `snapshot_path`, `mem_backend`, *" },
		{ "{\"snapshot_path\":\"\",\"mem_file_path\":\"m\"}", -EINVAL,
		  "`snapshot_path` is empty" },
		{ "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\","
		  "\"backend_path\":\"\"}}",
		  -EINVAL, "`backend_path` is empty" },
	};

	EXPECT_ALL_BAD(parse_load, struct conf_snapshot_load, bads);
}

/* A body with n entries of `network_overrides'. */
static int load_networks(unsigned n)
{
	static char body[4096];
	size_t at = (size_t)snprintf(body, sizeof(body), "{" PATHS ",\"network_overrides\":[");

	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(body + at, sizeof(body) - at,
				       "%s{\"iface_id\":\"e\",\"host_dev_name\":\"t\"}",
				       i > 0 ? "," : "");
	at += (size_t)snprintf(body + at, sizeof(body) - at, "]}");
	return parse_load(body, at, &load, &err);
}

TEST(as_many_overrides_as_interfaces)
{
	CHECK_EQ(load_networks(0), 0);
	CHECK_EQ(load_networks(CONF_NETWORK_OVERRIDES_MAX), 0);
	CHECK_EQ(load.nnetworks, CONF_NETWORK_OVERRIDES_MAX);
	CHECK_EQ(load_networks(CONF_NETWORK_OVERRIDES_MAX + 1), -E2BIG);
}

TEST(pages)
{
	load.huge_pages = CONF_SNAPSHOT_PAGES_SAVED;
	CHECK_EQ(conf_snapshot_pages(&load, CONF_HUGE_PAGES_2M), CONF_HUGE_PAGES_2M);
	CHECK_EQ(conf_snapshot_pages(&load, CONF_HUGE_PAGES_NONE), CONF_HUGE_PAGES_NONE);
	load.huge_pages = CONF_SNAPSHOT_PAGES_NONE;
	CHECK_EQ(conf_snapshot_pages(&load, CONF_HUGE_PAGES_2M), CONF_HUGE_PAGES_NONE);
	load.huge_pages = CONF_SNAPSHOT_PAGES_TRANSPARENT;
	CHECK_EQ(conf_snapshot_pages(&load, CONF_HUGE_PAGES_NONE), CONF_HUGE_PAGES_TRANSPARENT);
	load.huge_pages = CONF_SNAPSHOT_PAGES_2M;
	CHECK_EQ(conf_snapshot_pages(&load, CONF_HUGE_PAGES_NONE), CONF_HUGE_PAGES_2M);
}
