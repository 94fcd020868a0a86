/* SPDX-License-Identifier: Apache-2.0 */
/* The router without a socket: every resource, every rule of contract 1.2. */
#include "api/route.h"

#include "mmds/doc.h"
#include "rig.h"

static struct action action;
static struct route_out out;
static struct err e;

static int ask_route(enum route_method method, const char *target, const char *body)
{
	static struct view_board views;
	static bool ready;
	struct route_req req = {
		.method = method,
		.target = target,
		.body = body,
		.len = strlen(body),
		.views = &views,
	};

	if (!ready) {
		view_board_init(&views);
		CHECK_EQ(view_publish(&views, &(struct view_texts){ RIG_INSTANCE, RIG_MACHINE,
								    RIG_CONFIG, "{\"a\":1}" }),
			 0);
		ready = true;
	}
	view_put(out.view);
	memset(&action, 0, sizeof(action));
	out = (struct route_out){ .action = &action };
	e = (struct err){ 0 };
	return route(&req, &out, &e);
}

static void check_get(const char *target, const char *body)
{
	CHECK_EQ(ask_route(ROUTE_GET, target, ""), 0);
	CHECK(!out.submit);
	CHECK_TEXT(out.body, body);
}

static void check_action(enum route_method method, const char *target, const char *body,
			 enum action_type type)
{
	int r = ask_route(method, target, body);

	if (r < 0)
		fprintf(stderr, "# %s: %s\n", target, e.msg);
	CHECK_EQ(r, 0);
	CHECK(out.submit && !out.body && !action.invalid);
	CHECK_EQ(action.type, type);
}

static void check_refused(enum route_method method, const char *target, const char *body,
			  const char *message)
{
	int r = ask_route(method, target, body);

	/* What is wrong in meaning only goes on; the action puts its prefix before it. */
	CHECK_EQ(out.submit, r == 0);
	if (r == 0) {
		CHECK(action.invalid);
		e = action.err;
		message = strstr(message, ": ") + 2;
	}
	CHECK(!out.body);
	CHECK_EQ(e.kind, ERR_INVALID);
	CHECK_TEXT(e.msg, message);
}

TEST(gets_come_from_the_view)
{
	check_get("/", RIG_INSTANCE);
	check_get("//", RIG_INSTANCE);
	check_get("/machine-config", RIG_MACHINE);
	check_get("/machine-config/", RIG_MACHINE);
	check_get("/machine-config/more/of/it", RIG_MACHINE);
	check_get("//machine-config", RIG_MACHINE);
	check_get("/vm/config", RIG_CONFIG);
	check_get("/vm/config/x", RIG_CONFIG);
	check_get("http://localhost/version", "{\"firecracker_version\":\"1.17.0\"}");
	view_put(out.view);
}

#define DRIVE "{\"drive_id\":\"rootfs\",\"is_root_device\":true,\"path_on_host\":\"/d\"}"

#define CREATE(type)                                                \
	"{\"snapshot_type\":\"" type "\",\"snapshot_path\":\"/s\"," \
	"\"mem_file_path\":\"/m\"}"
#define LOAD                         \
	"{\"snapshot_path\":\"/s\"," \
	"\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":\"/m\"}}"

TEST(puts_and_patches_become_actions)
{
	check_action(ROUTE_PUT, "/boot-source", "{\"kernel_image_path\":\"/k\"}",
		     ACTION_PUT_BOOT_SOURCE);
	CHECK_TEXT(action.boot_source.kernel_image_path, "/k");
	check_action(ROUTE_PUT, "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":64}",
		     ACTION_PUT_MACHINE_CONFIG);
	CHECK_EQ(action.machine.vcpu_count, 2);
	CHECK(!out.deprecated);
	check_action(ROUTE_PATCH, "/machine-config", "{\"smt\":true}", ACTION_PATCH_MACHINE_CONFIG);
	check_action(ROUTE_PUT, "/drives/rootfs", DRIVE, ACTION_PUT_DRIVE);
	CHECK_TEXT(action.drive.drive_id, "rootfs");
	check_action(ROUTE_PUT, "/drives/rootfs/and/more", DRIVE, ACTION_PUT_DRIVE);
	check_action(ROUTE_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"path_on_host\":\"/new\"}",
		     ACTION_PATCH_DRIVE);
	CHECK_TEXT(action.drive_patch.drive_id, "d");
	CHECK_TEXT(action.drive_patch.path_on_host, "/new");
	CHECK(!action.drive_patch.has_rate_limiter);
	/* Whether a drive can be refreshed so is for the machine to say. */
	check_action(ROUTE_PATCH, "/drives/d", "{\"drive_id\":\"d\"}", ACTION_PATCH_DRIVE);
	check_action(ROUTE_PUT, "/entropy", "{}", ACTION_PUT_ENTROPY);
	check_action(ROUTE_PUT, "/cpu-config", "{\"kvm_capabilities\":[\"!56\"]}",
		     ACTION_PUT_CPU_CONFIG);
	CHECK_EQ(action.cpu.ncapabilities, 1);
	check_action(ROUTE_PUT, "/serial", "{}", ACTION_PUT_SERIAL);
	check_action(ROUTE_PUT, "/logger", "{\"level\":\"debug\"}", ACTION_PUT_LOGGER);
	CHECK_EQ(action.logger.level, LOG_DEBUG);
	check_action(ROUTE_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}",
		     ACTION_INSTANCE_START);
	check_action(ROUTE_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}",
		     ACTION_SEND_CTRL_ALT_DEL);
	check_action(ROUTE_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}",
		     ACTION_FLUSH_METRICS);
	check_action(ROUTE_PATCH, "/vm", "{\"state\":\"Paused\"}", ACTION_PAUSE);
	CHECK_TEXT(out.timed, "pause vm");
	check_action(ROUTE_PATCH, "/vm", "{\"state\":\"Resumed\"}", ACTION_RESUME);
	CHECK_TEXT(out.timed, "resume vm");
	check_action(ROUTE_PUT, "/snapshot/create", CREATE("Full"), ACTION_SNAPSHOT_CREATE);
	CHECK_TEXT(out.timed, "create full snapshot");
	CHECK_TEXT(action.snapshot_create.mem_file_path, "/m");
	check_action(ROUTE_PUT, "/snapshot/create", CREATE("Diff"), ACTION_SNAPSHOT_CREATE);
	CHECK_TEXT(out.timed, "create diff snapshot");
	check_action(ROUTE_PUT, "/snapshot/load", LOAD, ACTION_SNAPSHOT_LOAD);
	CHECK_TEXT(out.timed, "load snapshot");
	CHECK(!out.deprecated);
	CHECK_TEXT(action.snapshot_load.mem.backend_path, "/m");
}

TEST(deprecated_members_are_reported_even_on_errors)
{
	check_action(ROUTE_PUT, "/snapshot/load",
		     "{\"snapshot_path\":\"/s\",\"mem_file_path\":\"/m\"}", ACTION_SNAPSHOT_LOAD);
	CHECK(out.deprecated);
	check_refused(ROUTE_PUT, "/snapshot/load",
		      "{\"snapshot_path\":\"\",\"mem_file_path\":\"/m\"}",
		      "Load snapshot error: `snapshot_path` is empty");
	CHECK(out.deprecated);
	check_action(ROUTE_PUT, "/machine-config",
		     "{\"vcpu_count\":1,\"mem_size_mib\":64,\"cpu_template\":\"None\"}",
		     ACTION_PUT_MACHINE_CONFIG);
	CHECK(out.deprecated);
	check_action(ROUTE_PATCH, "/machine-config", "{\"cpu_template\":\"T2\"}",
		     ACTION_PATCH_MACHINE_CONFIG);
	CHECK(out.deprecated);
	check_refused(ROUTE_PUT, "/machine-config",
		      "{\"vcpu_count\":0,\"mem_size_mib\":64,\"cpu_template\":\"T2\"}",
		      "Machine config error: The number of vCPUs must be greater than 0, less than "
		      "32 and must be 1 or an even number if SMT is enabled.");
	CHECK(out.deprecated);
}

TEST(bodies_are_where_the_contract_wants_them)
{
	check_refused(ROUTE_GET, "/", "{}", "GET request cannot have a body.");
	check_refused(ROUTE_GET, "/nowhere", "{}", "GET request cannot have a body.");
	check_refused(ROUTE_PUT, "/boot-source", "", "Empty PUT request.");
	check_refused(ROUTE_PUT, "/nowhere", "", "Empty PUT request.");
	check_refused(ROUTE_PUT, "/drives/rootfs", "", "Empty PUT request.");
	check_refused(ROUTE_PATCH, "/vm", "", "Empty PATCH request.");
	check_refused(ROUTE_PATCH, "/machine-config", "{}", "Empty PATCH request.");
	check_refused(ROUTE_DELETE, "/drives/x", "{}", "Empty Delete request.");
}

TEST(unknown_paths_are_named)
{
#define INVALID "Invalid request method and/or path: "
	check_refused(ROUTE_GET, "/vm", "", INVALID "GET vm.");
	check_refused(ROUTE_GET, "/vm//config", "", INVALID "GET vm.");
	check_refused(ROUTE_GET, "/boot-source", "", INVALID "GET boot-source.");
	check_refused(ROUTE_PATCH, "/boot-source", "{}", INVALID "PATCH boot-source.");
	check_refused(ROUTE_PUT, "/", "{}", INVALID "PUT .");
	check_refused(ROUTE_DELETE, "/machine-config", "", INVALID "DELETE machine-config.");
	check_refused(ROUTE_PUT, "/Boot-Source", "{}", INVALID "PUT Boot-Source.");
	check_refused(ROUTE_PUT, "/boot-sourc", "{}", INVALID "PUT boot-sourc.");
	check_refused(ROUTE_PUT, "/boot-sources", "{}", INVALID "PUT boot-sources.");
	check_refused(ROUTE_GET, "/version?x=1", "", INVALID "GET version?x=1.");
	check_refused(ROUTE_GET, "version", "", INVALID "GET version.");
	check_refused(ROUTE_GET, "http://version", "", INVALID "GET http:.");
	check_refused(ROUTE_PUT, "/hotplug/cpu", "{}", INVALID "PUT hotplug.");
}

TEST(nothing_is_decoded)
{
	check_refused(ROUTE_GET, "/%76ersion", "", INVALID "GET %76ersion.");
	check_refused(ROUTE_GET, "/version/%41", "", INVALID "GET version.");
	check_refused(ROUTE_PUT, "/drives/rootfs/%00", DRIVE, INVALID "PUT drives.");
	check_refused(ROUTE_PUT, "/drives/root%66s", DRIVE,
		      "API Resource IDs can only contain alphanumeric characters and "
		      "underscores.");
}

TEST(ids_are_checked)
{
	char path[128] = "/drives/", body[256];

	check_refused(ROUTE_PUT, "/drives", DRIVE, "The ID cannot be empty.");
	check_refused(ROUTE_PUT, "/drives/", DRIVE, "The ID cannot be empty.");
	check_refused(ROUTE_PUT, "/drives//rootfs", DRIVE, "The ID cannot be empty.");
	check_refused(ROUTE_PUT, "/drives/root-fs", DRIVE,
		      "API Resource IDs can only contain alphanumeric characters and "
		      "underscores.");
	check_refused(ROUTE_PUT, "/drives/rootfs2", DRIVE,
		      "The id from the path does not match the id from the body!");
	check_refused(ROUTE_PATCH, "/drives/e", "{\"drive_id\":\"d\",\"path_on_host\":\"/n\"}",
		      "The id from the path does not match the id from the body!");
	check_refused(ROUTE_PATCH, "/drives", "{\"drive_id\":\"d\"}", "The ID cannot be empty.");
	check_refused(ROUTE_PUT, "/drives/rootf", DRIVE,
		      "The id from the path does not match the id from the body!");

	memset(path + strlen(path), 'a', CONF_ID_MAX); /* the longest id, and one more */
	snprintf(body, sizeof(body),
		 "{\"drive_id\":\"%s\",\"is_root_device\":false,\"path_on_host\":\"/d\"}",
		 path + strlen("/drives/"));
	check_action(ROUTE_PUT, path, body, ACTION_PUT_DRIVE);
	path[strlen(path)] = 'a';
	check_refused(ROUTE_PUT, path, DRIVE, "API Resource IDs can have at most 64 characters.");
}

#define MMDS_CONFIG "{\"network_interfaces\":[\"eth0\"]"

TEST(metadata)
{
	check_get("/mmds", "{\"a\":1}");
	view_put(out.view);
	check_action(ROUTE_PUT, "/mmds", "{\"b\":1,\"a\":2}", ACTION_PUT_MMDS);
	CHECK_TEXT(mmds_doc_text(action.mmds).p, "{\"a\":2,\"b\":1}");
	mmds_doc_unref(action.mmds);
	check_action(ROUTE_PUT, "/mmds/", "{}", ACTION_PUT_MMDS);
	mmds_doc_unref(action.mmds);
	check_refused(ROUTE_PUT, "/mmds", "[1]",
		      "invalid type: sequence, expected a map at line 1 column 0");
	check_action(ROUTE_PATCH, "/mmds", "{}", ACTION_PATCH_MMDS);
	mmds_doc_unref(action.mmds);
	check_refused(ROUTE_PUT, "/mmds/x/y", "{}", "Unrecognized PUT request path `x`.");
	check_refused(ROUTE_PUT, "/mmds/configs", "{}", "Unrecognized PUT request path `configs`.");
	check_refused(ROUTE_PUT, "/mmds", "", "Empty PUT request.");
	check_refused(ROUTE_PATCH, "/mmds", "", "Empty PATCH request.");
	check_refused(ROUTE_PUT, "/mmds", "{", "EOF while parsing an object at line 1 column 1");
	check_refused(ROUTE_DELETE, "/mmds", "", INVALID "DELETE mmds.");
}

TEST(metadata_configuration)
{
	check_action(ROUTE_PUT, "/mmds/config", MMDS_CONFIG "}", ACTION_PUT_MMDS_CONFIG);
	CHECK(out.deprecated);
	check_action(ROUTE_PUT, "/mmds/config", MMDS_CONFIG ",\"version\":\"V1\"}",
		     ACTION_PUT_MMDS_CONFIG);
	CHECK(out.deprecated);
	check_action(ROUTE_PUT, "/mmds/config", MMDS_CONFIG ",\"version\":\"V2\"}",
		     ACTION_PUT_MMDS_CONFIG);
	CHECK(!out.deprecated);
	check_refused(ROUTE_PUT, "/mmds/config", "{\"network_interfaces\":[]}",
		      "MMMDS config error: The list of network interface IDs that allow "
		      "forwarding MMDS requests is empty.");
	CHECK(out.deprecated); /* on errors too */
	check_refused(ROUTE_PUT, "/mmds/config", "{}",
		      "missing field `network_interfaces` at line 1 column 2");
	CHECK(!out.deprecated);
	check_refused(ROUTE_GET, "/mmds/config/x", "{}", "GET request cannot have a body.");
}

TEST(operations_on_snapshots_that_there_are_not)
{
	check_refused(ROUTE_PUT, "/snapshot", "{}", "Missing snapshot operation type.");
	check_refused(ROUTE_PUT, "/snapshot/x", "{}", INVALID "PUT /snapshot/x.");
	check_refused(ROUTE_GET, "/snapshot/create", "", INVALID "GET snapshot.");
}

#define BALLOON "{\"amount_mib\":1,\"deflate_on_oom\":true}"
#define PMEM	"{\"id\":\"x\",\"path_on_host\":\"/p\"}"
#define HOTPLUG "{\"total_size_mib\":128}"

/* Whether there is such a device is for the main thread to say: it knows the state too. */
TEST(what_this_version_lacks_is_checked_first)
{
	check_action(ROUTE_PUT, "/balloon", BALLOON, ACTION_PUT_BALLOON);
	CHECK_EQ(action.balloon.amount_mib, 1);
	check_action(ROUTE_PATCH, "/balloon", "{\"amount_mib\":1}", ACTION_BALLOON_PATCH);
	check_action(ROUTE_GET, "/balloon/statistics", "", ACTION_BALLOON_REQUEST);
	check_action(ROUTE_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":1}",
		     ACTION_BALLOON_PATCH);
	check_action(ROUTE_GET, "/balloon/hinting/status", "", ACTION_BALLOON_REQUEST);
	check_action(ROUTE_PATCH, "/balloon/hinting/start", "", ACTION_BALLOON_PATCH);
	check_action(ROUTE_PATCH, "/balloon/hinting/start", "{\"acknowledge_on_stop\":false}",
		     ACTION_BALLOON_PATCH);
	check_action(ROUTE_PATCH, "/balloon/hinting/stop", "", ACTION_BALLOON_REQUEST);
	check_action(ROUTE_PUT, "/pmem/x", PMEM, ACTION_PUT_PMEM);
	check_action(ROUTE_PATCH, "/pmem/x", "{\"id\":\"x\"}", ACTION_PMEM_PATCH);
	check_action(ROUTE_PUT, "/hotplug/memory", HOTPLUG, ACTION_PUT_MEMORY_HOTPLUG);
	check_action(ROUTE_PATCH, "/hotplug/memory", "{\"requested_size_mib\":2}",
		     ACTION_MEMORY_HOTPLUG_REQUEST);
	check_action(ROUTE_GET, "/hotplug/memory", "", ACTION_MEMORY_HOTPLUG_REQUEST);
	check_action(ROUTE_DELETE, "/drives/x", "", ACTION_UNPLUG);
	check_action(ROUTE_DELETE, "/pmem/x", "", ACTION_UNPLUG);
	check_action(ROUTE_DELETE, "/network-interfaces/x", "", ACTION_UNPLUG);
}

TEST(paths_below_what_this_version_lacks)
{
	check_refused(ROUTE_GET, "/balloon", "", "Balloon config error: No balloon device found.");
	check_refused(ROUTE_GET, "/balloon/", "", "Balloon config error: No balloon device found.");
	check_refused(ROUTE_GET, "http://balloon/balloon/x", "",
		      "Unrecognized GET request path `x`.");
	check_refused(ROUTE_GET, "/balloon/hinting/x", "",
		      "Unrecognized GET request path `/hinting/x`.");
	check_refused(ROUTE_PATCH, "/balloon/hinting/x", "",
		      "Unrecognized PATCH request path `/hinting/x`.");
	check_action(ROUTE_PATCH, "/balloon/x", "{\"amount_mib\":1}", ACTION_BALLOON_PATCH);
	check_refused(ROUTE_PATCH, "/balloon", "", "Empty PATCH request.");
	check_refused(ROUTE_PATCH, "/balloon/statistics", "", "Empty PATCH request.");
	check_refused(ROUTE_GET, "/hotplug", "", INVALID "GET hotplug.");
	check_refused(ROUTE_PUT, "/pmem", PMEM, "The ID cannot be empty.");
	check_refused(ROUTE_PUT, "/pmem/y", PMEM,
		      "The id from the path does not match the id from the body!");
	check_refused(ROUTE_PATCH, "/pmem/y", "{\"id\":\"x\"}",
		      "The id from the path does not match the id from the body!");
	check_refused(ROUTE_DELETE, "/drives", "", "The ID cannot be empty.");
	check_refused(ROUTE_DELETE, "/drives/x", "{}", "Empty Delete request.");
	check_refused(ROUTE_PUT, "/balloon", "{\"amount_mib\":16777216,\"deflate_on_oom\":true}",
		      "Balloon config error: Amount of pages requested is too large.");
}

TEST(vsock)
{
	check_action(ROUTE_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\"}", ACTION_PUT_VSOCK);
	CHECK(!out.deprecated);
	check_action(ROUTE_PUT, "/vsock",
		     "{\"vsock_id\":\"root\",\"guest_cid\":3,\"uds_path\":\"v\"}",
		     ACTION_PUT_VSOCK);
	CHECK(out.deprecated);
	check_refused(
		ROUTE_PUT, "/vsock", "{\"vsock_id\":\"\",\"guest_cid\":2,\"uds_path\":\"v\"}",
		"Vsock config error: The guest_cid is 2; a guest has one from 3 to 4294967294.");
	CHECK(out.deprecated);
}

#define ETH0 "{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\"}"

TEST(network_interfaces)
{
	check_action(ROUTE_PUT, "/network-interfaces/eth0", ETH0, ACTION_PUT_NET);
	CHECK_EQ(strcmp(action.net.host_dev_name, "tap0"), 0);
	check_action(ROUTE_PATCH, "/network-interfaces/eth0", "{\"iface_id\":\"eth0\"}",
		     ACTION_PATCH_NET);
	check_refused(ROUTE_PUT, "/network-interfaces/eth1", ETH0,
		      "The id from the path [eth1] does not match the id from the body [eth0]!");
	check_refused(ROUTE_PATCH, "/network-interfaces/eth1", "{\"iface_id\":\"eth0\"}",
		      "The id from the path [eth1] does not match the id from the body [eth0]!");
	check_refused(ROUTE_PUT, "/network-interfaces/eth0",
		      "{\"iface_id\":\"eth0\",\"host_dev_name\":\"\"}",
		      "Network config error: The host_dev_name of interface `eth0` is empty.");
}

TEST(decoding_errors_are_answered_at_once_and_others_by_their_action)
{
	static const char *const puts[] = { "/boot-source", "/machine-config",
					    "/drives/x",    "/entropy",
					    "/serial",	    "/logger",
					    "/actions",	    "/network-interfaces/x" };

	for (unsigned i = 0; i < ARRAY_SIZE(puts); i++) {
		CHECK_EQ(ask_route(ROUTE_PUT, puts[i], "{"), -EBADMSG);
		CHECK_EQ(ask_route(ROUTE_PUT, puts[i], "{\"nosuch\":1}"), -EBADMSG);
		CHECK(strstr(e.msg, "unknown field `nosuch`"));
	}
	CHECK_EQ(ask_route(ROUTE_PATCH, "/vm", "{\"state\":\"Asleep\"}"), -EBADMSG);
	CHECK_EQ(ask_route(ROUTE_PATCH, "/machine-config", "[]"), -EBADMSG);
	check_refused(ROUTE_PUT, "/drives/x", "{\"drive_id\":\"x\",\"is_root_device\":false}",
		      "Drive config error: Unable to create the virtio block device: Invalid block "
		      "config.");
}

TEST(methods_have_one_spelling)
{
	enum route_method method = ROUTE_DELETE;

	CHECK_EQ(route_method_parse("PATCH", &method), 0);
	CHECK_EQ(method, ROUTE_PATCH);
	CHECK_EQ(route_method_parse("patch", &method), -EINVAL);
	CHECK_EQ(route_method_parse("POST", &method), -EINVAL);
	CHECK_EQ(method, ROUTE_PATCH);
}

TEST(every_route_is_listed_once)
{
	enum route_method method, other_method;
	const char *path, *other;
	unsigned n = 0;

	while (route_list(n, &method, &path)) {
		for (unsigned i = 0; i < n; i++) {
			CHECK(route_list(i, &other_method, &other));
			CHECK(method != other_method || strcmp(path, other) != 0);
			/* What a shorter path takes would never reach the longer one. */
			CHECK(method != other_method || strncmp(path, other, strlen(other)) != 0 ||
			      path[strlen(other)] != '/');
		}
		n++;
	}
	CHECK(n >= 15);
	CHECK(!route_list(n, &method, &path));
}
