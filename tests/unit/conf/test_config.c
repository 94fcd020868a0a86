/* SPDX-License-Identifier: Apache-2.0 */
/* The whole configuration: its drives, its reply, its file. */
#include "conf/config.h"

#include "expect.h"

#define EMPTY_CONFIG                                                                           \
	"{\"balloon\":null,\"drives\":[],\"boot-source\":null,\"cpu-config\":null,"            \
	"\"logger\":null,\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":128,"           \
	"\"smt\":false,\"track_dirty_pages\":false,\"huge_pages\":\"None\"},\"metrics\":null," \
	"\"mmds-config\":null,\"network-interfaces\":[],\"vsock\":null,\"entropy\":null,"      \
	"\"pmem\":[],\"memory-hotplug\":null}"

static struct conf_config config;
static struct conf_file file;
static char buf[CONF_CONFIG_TEXT_MAX], again[CONF_CONFIG_TEXT_MAX];

static int put(const char *id, bool root, struct err *e)
{
	static struct conf_drive d;

	d = (struct conf_drive){ .is_root_device = root, .path_on_host = "/p" };
	snprintf(d.drive_id, sizeof(d.drive_id), "%s", id);
	return conf_config_put_drive(&config, &d, e);
}

static void order_is(const char *ids)
{
	char got[64] = "";

	for (unsigned i = 0; i < config.ndrives; i++)
		strcat(got, config.drives[i]->drive_id);
	expect_msg("order", got, ids);
}

TEST(drives_keep_their_order_and_the_root_leads)
{
	struct err e = { 0 };

	conf_config_init(&config);
	CHECK_EQ(put("a", false, &e), 0);
	CHECK_EQ(put("b", false, &e), 0);
	order_is("ab");
	CHECK_EQ(put("r", true, &e), 0);
	order_is("rab");
	CHECK_EQ(put("b", true, &e), -EINVAL);
	CHECK_EQ(put("s", true, &e), -EINVAL);
	expect_msg("second root", e.msg, "A root block device already exists!");
	order_is("rab");
	CHECK_EQ(put("r", true, &e), 0);
	order_is("rab");
	CHECK_EQ(put("r", false, &e), 0);
	CHECK_EQ(put("b", true, &e), 0);
	order_is("bar");
	CHECK(conf_config_find_drive(&config, "a") == config.drives[1]);
	CHECK(conf_config_find_drive(&config, "x") == NULL);
	conf_config_fini(&config);
	conf_config_fini(&config);
	CHECK_EQ(config.ndrives, 0);
}

TEST(limit_of_drives)
{
	struct err e = { 0 };
	char id[] = "a";

	conf_config_init(&config);
	for (unsigned i = 0; i < CONF_DRIVES_MAX; i++, id[0]++)
		CHECK_EQ(put(id, false, &e), 0);
	CHECK_EQ(put(id, false, &e), -EINVAL);
	expect_msg("too many", e.msg,
		   "Drive `r` cannot be added: a machine has at most 17 drives.");
	CHECK_EQ(put(id, true, &e), -EINVAL);
	CHECK_EQ(put("q", true, &e), 0);
	order_is("qbcdefghijklmnopa");
	conf_config_fini(&config);
}

TEST(print)
{
	struct text t = TEXT_ON(buf);

	conf_config_init(&config);
	conf_config_print(&t, &config);
	expect_msg("empty", buf, EMPTY_CONFIG);
}

TEST(largest_reply_fits)
{
	static struct conf_drive d;
	struct text t = TEXT_ON(buf);
	struct err e = { 0 };

	conf_config_init(&config);
	memset(d.drive_id, '"', sizeof(d.drive_id) - 1);
	memset(d.path_on_host, 1, sizeof(d.path_on_host) - 1);
	memset(d.partuuid, '"', sizeof(d.partuuid) - 1);
	for (unsigned i = 0; i < CONF_DRIVES_MAX; i++) {
		d.drive_id[0] = (char)('a' + i);
		CHECK_EQ(conf_config_put_drive(&config, &d, &e), 0);
	}
	config.has_boot_source = true;
	config.boot_source.has_boot_args = true;
	memset(config.boot_source.kernel_image_path, 1, CONF_PATH_MAX - 1);
	memset(config.boot_source.initrd_path, 1, CONF_PATH_MAX - 1);
	memset(config.boot_source.boot_args, '"', CONF_CMDLINE_MAX - 1);
	conf_config_print(&t, &config);
	CHECK(text_ok(&t));
	conf_config_fini(&config);
}

static const char full[] =
	"{\"boot-source\":{\"kernel_image_path\":\"/k\",\"boot_args\":\"quiet\"},"
	"\"drives\":[{\"drive_id\":\"d\",\"is_root_device\":false,\"path_on_host\":\"/d\"},"
	"{\"drive_id\":\"r\",\"is_root_device\":true,\"path_on_host\":\"/r\","
	"\"rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1}}}],"
	"\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,\"cpu_template\":\"T2\"},"
	"\"logger\":{\"level\":\"Debug\"},\"entropy\":{},\"network-interfaces\":[],\"pmem\":[],"
	"\"balloon\":null,\"vsock\":{\"vsock_id\":\"root\",\"guest_cid\":3,\"uds_path\":\"/v\"},\"cpu-config\":null,\"metrics\":null,"
	"\"mmds-config\":null,\"memory-hotplug\":null,\"something-else\":{\"a\":[1]}}";

TEST(file_round_trip)
{
	struct text t = TEXT_ON(buf), t2 = TEXT_ON(again);
	struct err e = { 0 };
	int r = conf_file_parse(full, strlen(full), &file, &e);

	if (r < 0)
		fprintf(stderr, "# %s\n", e.msg);
	CHECK_EQ(r, 0);
	CHECK(file.has_logger && file.logger.level == LOG_DEBUG);
	CHECK(file.config.has_entropy && file.config.has_boot_source);
	CHECK_EQ(file.config.ndrives, 2);
	CHECK_EQ(file.config.machine.cpu_template, CONF_CPU_TEMPLATE_T2);
	conf_config_print(&t, &file.config);
	conf_file_fini(&file);
	expect_msg(
		"print", buf,
		"{\"balloon\":null,\"drives\":[{\"drive_id\":\"r\",\"partuuid\":null,"
		"\"is_root_device\":true,\"cache_type\":\"Unsafe\",\"is_read_only\":false,"
		"\"path_on_host\":\"/r\",\"rate_limiter\":{\"bandwidth\":null,\"ops\":{"
		"\"size\":1,\"one_time_burst\":null,\"refill_time\":1}},\"io_engine\":\"Sync\","
		"\"socket\":null},{\"drive_id\":\"d\",\"partuuid\":null,"
		"\"is_root_device\":false,\"cache_type\":\"Unsafe\",\"is_read_only\":false,"
		"\"path_on_host\":\"/d\",\"rate_limiter\":null,\"io_engine\":\"Sync\","
		"\"socket\":null}],\"boot-source\":{\"kernel_image_path\":\"/k\","
		"\"initrd_path\":null,\"boot_args\":\"quiet\"},\"cpu-config\":null,"
		"\"logger\":null,\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,"
		"\"smt\":false,\"cpu_template\":\"T2\",\"track_dirty_pages\":false,"
		"\"huge_pages\":\"None\"},\"metrics\":null,\"mmds-config\":null,"
		"\"network-interfaces\":[],"
		"\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/v\"},\"entropy\":{\"rate_limiter\":null},"
		"\"pmem\":[],\"memory-hotplug\":null}");
	CHECK_EQ(conf_file_parse(buf, t.len, &file, &e), 0);
	conf_config_print(&t2, &file.config);
	conf_file_fini(&file);
	CHECK(strcmp(buf, again) == 0);
}

TEST(cpu_config_replaces_a_static_template)
{
	static const char inline_one[] =
		"{\"boot-source\":{\"kernel_image_path\":\"/k\"},\"drives\":[],"
		"\"cpu-config\":{\"msr_modifiers\":[{\"addr\":\"0x10\",\"bitmap\":\"1\"}]},"
		"\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":1,\"cpu_template\":\"T2\"}}";
	static const char by_path[] =
		"{\"boot-source\":{\"kernel_image_path\":\"/k\"},\"drives\":[],"
		"\"cpu-config\":\"/etc/cpu.json\"}";
	struct err e = { 0 };

	CHECK_EQ(conf_file_parse(inline_one, strlen(inline_one), &file, &e), 0);
	CHECK(file.config.has_cpu && file.cpu_config_path[0] == '\0');
	CHECK_EQ(file.config.cpu.nmsrs, 1);
	CHECK_EQ(file.config.machine.cpu_template, CONF_CPU_TEMPLATE_NONE);
	conf_file_fini(&file);
	CHECK_EQ(conf_file_parse(by_path, strlen(by_path), &file, &e), 0);
	CHECK(file.config.has_cpu && strcmp(file.cpu_config_path, "/etc/cpu.json") == 0);
	CHECK_EQ(file.config.cpu.nmsrs, 0);
	conf_file_fini(&file);
}

#define BOOT  "\"boot-source\":{\"kernel_image_path\":\"/k\"}"
#define SMALL "{" BOOT ",\"drives\":[]"
#define UNSUPPORTED(s) \
	"section `" s "` is not supported by this version of wisp; remove it from the file"

TEST(bad_files)
{
	static const struct bad bads[] = {
		{ "", -EBADMSG, "Invalid JSON: EOF while parsing a value at line 1 column 0" },
		{ "[]", -EBADMSG,
		  "Invalid JSON: invalid type: sequence, expected struct VmmConfig*" },
		{ "{\"drives\":[]}", -EBADMSG,
		  "Invalid JSON: missing field `boot-source` at line 1 column 13" },
		{ "{" BOOT "}", -EBADMSG, "Invalid JSON: missing field `drives`*" },
		{ "{" BOOT ",\"drives\":null}", -EBADMSG,
		  "Invalid JSON: invalid type: null, expected a sequence*" },
		{ "{" BOOT ",\"drives\":{}}", -EBADMSG,
		  "Invalid JSON: invalid type: map, expected a sequence*" },
		{ "{" BOOT ",\"drives\":[1]}", -EBADMSG,
		  "Invalid JSON: invalid type: integer `1`, expected struct BlockDeviceConfig*" },
		{ "{\"drives\":[],\"boot-source\":null}", -EBADMSG,
		  "Invalid JSON: invalid type: null, expected struct BootSourceConfig*" },
		{ "{\"drives\":[],\"boot-source\":{}}", -EBADMSG,
		  "Invalid JSON: missing field `kernel_image_path`*" },
		{ "{\"drives\":[],\"boot-source\":{\"kernel_image_path\":\"\"}}", -EINVAL,
		  "Boot source error: The kernel file cannot be opened: *" },
		{ SMALL ",\"drives\":[]}", -EBADMSG, "Invalid JSON: duplicate field `drives`*" },
		{ SMALL ",\"machine-config\":{\"vcpu_count\":0,\"mem_size_mib\":1}}", -EINVAL,
		  "VM config error: The number of vCPUs must be *" },
		{ SMALL ",\"machine-config\":{\"vcpu_count\":1}}", -EBADMSG,
		  "Invalid JSON: missing field `mem_size_mib`*" },
		{ SMALL ",\"logger\":{\"log_path\":\"\"}}", -EINVAL,
		  "Logger error: Failed to open target file: *" },
		{ SMALL ",\"entropy\":{\"x\":1}}", -EBADMSG, "Invalid JSON: unknown field `x`*" },
		{ "{" BOOT ",\"drives\":[{\"drive_id\":\"a\",\"is_root_device\":true}]}", -EINVAL,
		  "Block device error: Unable to create the virtio block device: Invalid block "
		  "config." },
		{ "{" BOOT ",\"drives\":[{\"drive_id\":\"a\",\"is_root_device\":true,"
		  "\"path_on_host\":\"/a\"},{\"drive_id\":\"b\",\"is_root_device\":true,"
		  "\"path_on_host\":\"/b\"}]}",
		  -EINVAL, "Block device error: A root block device already exists!" },
		{ SMALL ",\"balloon\":{}}", -EBADMSG, "Invalid JSON: missing field `amount_mib`*" },
		{ SMALL ",\"balloon\":{\"amount_mib\":16777216,\"deflate_on_oom\":true}}", -EINVAL,
		  "Balloon device error: Amount of pages requested is too large." },
		{ SMALL ",\"balloon\":{\"amount_mib\":1,\"deflate_on_oom\":true}}", -EINVAL,
		  UNSUPPORTED("balloon") },
		{ SMALL ",\"cpu-config\":\"\"}", -EINVAL,
		  "CPU config error: the path of `cpu-config` is empty" },
		{ SMALL ",\"cpu-config\":1}", -EBADMSG,
		  "Invalid JSON: invalid type: integer `1`*" },
		{ SMALL ",\"cpu-config\":{\"x\":1}}", -EBADMSG,
		  "Invalid JSON: unknown field `x`*" },
		{ SMALL ",\"metrics\":{}}", -EBADMSG,
		  "Invalid JSON: missing field `metrics_path`*" },
		{ SMALL ",\"mmds-config\":{}}", -EBADMSG,
		  "Invalid JSON: missing field `network_interfaces`*" },
		{ SMALL ",\"mmds-config\":{\"network_interfaces\":[]}}", -EINVAL,
		  "MMDS config error: The list of network interface IDs that allow *" },
		{ SMALL ",\"mmds-config\":{\"network_interfaces\":[\"a\"]}}", -EINVAL,
		  "MMDS config error: The list of network interface IDs provided contains *" },
		{ SMALL ",\"network-interfaces\":[{}]}", -EBADMSG,
		  "Invalid JSON: missing field `iface_id`*" },
		{ SMALL ",\"network-interfaces\":[{\"iface_id\":\"a\",\"host_dev_name\":\"t\"},"
			"{\"iface_id\":\"b\",\"host_dev_name\":\"t\"}]}",
		  -EINVAL,
		  "Network config error: The host device `t` is already in use by interface `a`." },
		{ SMALL ",\"network-interfaces\":{}}", -EBADMSG,
		  "Invalid JSON: invalid type: map*" },
		{ SMALL ",\"vsock\":{}}", -EBADMSG, "Invalid JSON: missing field `guest_cid`*" },
		{ SMALL ",\"vsock\":{\"guest_cid\":2,\"uds_path\":\"/v\"}}", -EINVAL,
		  "Vsock device error: The guest_cid is 2; a guest has one from 3 to 4294967294." },
		{ SMALL ",\"pmem\":[1]}", -EBADMSG,
		  "Invalid JSON: invalid type: integer `1`, expected struct PmemConfig*" },
		{ SMALL ",\"pmem\":[{\"id\":\"p\",\"path_on_host\":\"\"}]}", -EINVAL,
		  "Pmem device error: The path_on_host of pmem `p` is empty." },
		{ SMALL ",\"pmem\":[{\"id\":\"p\",\"path_on_host\":\"/p\"}]}", -EINVAL,
		  UNSUPPORTED("pmem") },
		{ SMALL ",\"memory-hotplug\":{\"total_size_mib\":1}}", -EINVAL,
		  "Memory hotplug config error: Total size must not be lower than *" },
		{ SMALL ",\"memory-hotplug\":{\"total_size_mib\":128}}", -EINVAL,
		  UNSUPPORTED("memory-hotplug") },
	};

	EXPECT_ALL_BAD(conf_file_parse, struct conf_file, bads);
}

TEST(every_allocation_may_fail)
{
	unsigned n;

	if (!faults_work())
		SKIP("built without WISP_FAULTS");
	for (n = 0;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = conf_file_parse(full, strlen(full), &file, &e);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			conf_file_fini(&file);
			break;
		}
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(e.kind, ERR_INTERNAL);
		CHECK(e.msg[0]);
	}
	CHECK(n > 20);
}

TEST(metadata_of_interfaces_that_there_are)
{
	static const char text[] = SMALL
		",\"network-interfaces\":[{\"iface_id\":\"a\",\"host_dev_name\":\"t\"},"
		"{\"iface_id\":\"b\",\"host_dev_name\":\"u\"}],\"mmds-config\":{"
		"\"network_interfaces\":[\"b\",\"a\"],\"version\":\"V2\"}}";
	struct text t = TEXT_ON(buf);
	struct err e = { 0 };

	CHECK_EQ(conf_file_parse(text, strlen(text), &file, &e), 0);
	conf_config_print(&t, &file.config);
	CHECK(strstr(buf,
		     "\"mmds-config\":{\"version\":\"V2\",\"network_interfaces\":[\"b\",\"a\"],"
		     "\"ipv4_address\":\"169.254.169.254\",\"imds_compat\":false},"));
	conf_config_drop_net(&file.config, "c");
	conf_config_drop_net(&file.config, "b");
	CHECK(file.config.has_mmds && file.config.mmds.ninterfaces == 1);
	CHECK(conf_mmds_has(&file.config.mmds, "a"));
	conf_config_drop_net(&file.config, "a");
	CHECK(!file.config.has_mmds);
	conf_file_fini(&file);
}

TEST(failed_put_of_a_drive_changes_nothing)
{
	struct err e = { 0 };

	if (!faults_work())
		SKIP("built without WISP_FAULTS");
	conf_config_init(&config);
	CHECK_EQ(put("a", false, &e), 0);
	fault_arm(0);
	CHECK_EQ(put("b", false, &e), -ENOMEM);
	fault_arm(0);
	CHECK_EQ(put("a", true, &e), -ENOMEM);
	order_is("a");
	CHECK(!config.drives[0]->is_root_device);
	conf_config_fini(&config);
}
